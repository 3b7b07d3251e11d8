//! The names of webrtc-star peers, so kept that any number of new or random ones is found without walking all.

use std::collections::{HashMap, VecDeque};

use rand::Rng;
use rand::seq::index;
use switchboard_wire::directory::Name;

/// How many arrivals are kept in order: four digests of the default size, for some of them are gone again.
const ARRIVALS: usize = 1024;

/// Names in the order they came, and in no order.
#[derive(Debug, Default)]
pub(super) struct Roster {
    /// Where each name is in `listed`.
    places: HashMap<Name, usize>,
    /// Dense, so that a random index is a random name.
    listed: Vec<Listed>,
    /// The latest arrivals, oldest first; those that left again or came again later are skipped when it is read.
    arrivals: VecDeque<Listed>,
    /// Counts arrivals.
    age: u64,
}

#[derive(Clone, Debug)]
struct Listed {
    name: Name,
    /// The roster's age when it came last.
    came: u64,
}

/// What a digest is made of.
#[derive(Clone, Copy, Debug)]
pub(super) struct Portion {
    /// Arrivals after this age are new.
    pub(super) since: u64,
    /// Most names.
    pub(super) most: usize,
    /// Names that it is filled up to with random ones; at most `most`.
    pub(super) fill: usize,
    /// Most bytes of names.
    pub(super) bytes: usize,
}

impl Roster {
    /// Puts a name on the roster; one that is there comes again.
    pub(super) fn note(&mut self, name: &Name) {
        self.age += 1;
        let listed = Listed { name: name.clone(), came: self.age };
        if let Some(place) = self.places.get(name) {
            self.listed[*place].came = self.age;
        } else {
            self.places.insert(name.clone(), self.listed.len());
            self.listed.push(listed.clone());
        }
        if self.arrivals.len() == ARRIVALS {
            self.arrivals.pop_front();
        }
        self.arrivals.push_back(listed);
    }

    /// Takes a name off.
    pub(super) fn remove(&mut self, name: &Name) {
        let Some(place) = self.places.remove(name) else { return };
        self.listed.swap_remove(place);
        if let Some(moved) = self.listed.get(place) {
            self.places.insert(moved.name.clone(), place);
        }
        // Who comes and goes and comes again does not push the arrivals of others out.
        while self.arrivals.back().is_some_and(|latest| !self.is_here(latest)) {
            self.arrivals.pop_back();
        }
    }

    /// How many names there are.
    pub(super) fn len(&self) -> usize {
        self.listed.len()
    }

    /// How many arrivals there were.
    pub(super) fn age(&self) -> u64 {
        self.age
    }

    /// Up to `most` random names, each once.
    pub(super) fn sample(&self, rng: &mut impl Rng, most: usize) -> impl Iterator<Item = &Name> {
        self.draw(rng, most).map(|listed| &listed.name)
    }

    /// The names that one digest tells: those that came last first, then random ones; none of its reader's own.
    pub(super) fn digest(&self, rng: &mut impl Rng, portion: Portion, own: &[&Name]) -> Vec<Name> {
        let is_own = |name: &Name| own.contains(&name);
        let arrivals = self.arrivals.iter().rev().take_while(|arrival| arrival.came > portion.since);
        let arrivals = arrivals.filter(|arrival| !is_own(&arrival.name) && self.is_here(arrival)).take(portion.most);
        let mut names: Vec<Name> = arrivals.map(|arrival| arrival.name.clone()).collect();
        if names.len() < portion.fill {
            // Among the drawn there may be all that do not count, and still enough that do.
            let drawn = self.draw(rng, portion.fill + own.len());
            let new_from = self.arrivals.front().map_or(u64::MAX, |oldest| oldest.came.max(portion.since + 1));
            let more = drawn.filter(|listed| listed.came < new_from && !is_own(&listed.name));
            let more: Vec<Name> = more.take(portion.fill - names.len()).map(|listed| listed.name.clone()).collect();
            names.extend(more);
        }
        let mut bytes = 0;
        let fits = |name: &&Name| {
            bytes += name.len();
            bytes <= portion.bytes
        };
        names.truncate(names.iter().take_while(fits).count());
        names
    }

    /// Whether that arrival is still what brought the name here.
    fn is_here(&self, arrival: &Listed) -> bool {
        self.places.get(&arrival.name).is_some_and(|place| self.listed[*place].came == arrival.came)
    }

    fn draw(&self, rng: &mut impl Rng, most: usize) -> impl Iterator<Item = &Listed> {
        let places = index::sample(rng, self.listed.len(), most.min(self.listed.len()));
        places.into_iter().map(|place| &self.listed[place])
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use proptest::prelude::*;
    use rand::SeedableRng as _;
    use rand::rngs::StdRng;

    use super::*;

    fn name(number: usize) -> Name {
        Name::new(&format!("/dns4/star.example/tcp/443/wss/p2p-webrtc-star/p2p/{number}")).expect("a name")
    }

    fn roster(names: std::ops::Range<usize>) -> Roster {
        let mut roster = Roster::default();
        names.for_each(|number| roster.note(&name(number)));
        roster
    }

    fn all(roster: &Roster) -> Portion {
        Portion { since: roster.age(), most: 256, fill: 256, bytes: usize::MAX }
    }

    #[test]
    fn tells_everybody_else_while_they_are_few() {
        let mut rng = StdRng::seed_from_u64(1);
        let roster = roster(0..257);
        let told: HashSet<Name> = roster.digest(&mut rng, all(&roster), &[&name(7)]).into_iter().collect();
        assert_eq!(told, (0..257).filter(|number| *number != 7).map(name).collect());
    }

    #[test]
    fn tells_the_newest_first_and_no_more_than_fit() {
        let mut rng = StdRng::seed_from_u64(1);
        let roster = roster(0..2000);
        let told =
            roster.digest(&mut rng, Portion { since: 1990, most: 256, fill: 64, bytes: usize::MAX }, &[&name(1999)]);
        assert_eq!(told.len(), 64);
        let newest: Vec<Name> = (1990..1999).rev().map(name).collect();
        assert_eq!(told[..9], newest);
        let told = roster.digest(&mut rng, Portion { since: 0, most: 256, fill: 64, bytes: usize::MAX }, &[]);
        assert_eq!(told, (2000 - 256..2000).rev().map(name).collect::<Vec<_>>());
    }

    #[test]
    fn one_that_left_is_not_told_and_one_that_came_again_is_told_once() {
        let mut rng = StdRng::seed_from_u64(1);
        let mut roster = roster(0..4);
        roster.remove(&name(3));
        roster.note(&name(0));
        let told = roster.digest(&mut rng, Portion { since: 0, most: 256, fill: 256, bytes: usize::MAX }, &[]);
        assert_eq!(told, [name(0), name(2), name(1)]);
    }

    #[test]
    fn long_names_make_a_digest_shorter() {
        let mut rng = StdRng::seed_from_u64(1);
        let roster = roster(100..200);
        let bytes = 10 * name(100).len();
        for since in [0, roster.age()] {
            let told = roster.digest(&mut rng, Portion { since, most: 256, fill: 256, bytes }, &[]);
            assert_eq!(told.len(), 10);
        }
    }

    #[test]
    fn who_comes_and_goes_all_the_time_does_not_hide_a_newcomer() {
        let mut rng = StdRng::seed_from_u64(1);
        let mut roster = roster(0..2000);
        for _ in 0..2000 {
            roster.note(&name(9999));
            roster.remove(&name(9999));
        }
        let told = roster.digest(&mut rng, Portion { since: 1999, most: 256, fill: 0, bytes: usize::MAX }, &[]);
        assert_eq!(told, [name(1999)]);
    }

    #[test]
    fn random_names_come_from_everywhere() {
        let mut rng = StdRng::seed_from_u64(1);
        let roster = roster(0..1000);
        let mut told = HashSet::new();
        for _ in 0..200 {
            told.extend(roster.digest(
                &mut rng,
                Portion { since: roster.age(), most: 256, fill: 64, bytes: usize::MAX },
                &[],
            ));
        }
        // Each name is missed with a chance of (1 - 0.064)^200, less than one in half a million.
        assert_eq!(told.len(), 1000);
    }

    proptest! {
        #[test]
        fn names_and_places_agree(steps in proptest::collection::vec((any::<bool>(), 0usize..20), 0..200)) {
            let (mut roster, mut model) = (Roster::default(), HashSet::new());
            let mut rng = StdRng::seed_from_u64(1);
            for (comes, number) in steps {
                if comes {
                    roster.note(&name(number));
                    model.insert(name(number));
                } else {
                    roster.remove(&name(number));
                    model.remove(&name(number));
                }
                prop_assert_eq!(roster.sample(&mut rng, 100).cloned().collect::<HashSet<_>>(), model.clone());
                prop_assert_eq!(roster.digest(&mut rng, all(&roster), &[]).len(), model.len());
                let new = Portion { since: roster.age().saturating_sub(5), most: 256, fill: 256, bytes: usize::MAX };
                let told = roster.digest(&mut rng, new, &[]);
                prop_assert_eq!(told.len(), model.len());
                prop_assert_eq!(told.into_iter().collect::<HashSet<_>>(), model.clone());
            }
        }
    }
}
