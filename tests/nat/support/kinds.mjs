// The ways in which people are connected to the Internet, as nftables rulesets, in the words of RFC 4787: a NAT has a mapping
// (which port of its own it gives to a port inside) and a filtering (from whom it lets packets in).

/**
 * @typedef {'none' | 'full-cone' | 'restricted' | 'port-restricted' | 'symmetric' | 'cgnat' | 'udp-blocked' | 'only-443'} KindId
 *
 * @typedef {object} Kind
 * @property {KindId} id
 * @property {string} title
 * @property {'endpoint-independent' | 'address-and-port-dependent' | null} mapping  Null where no UDP passes.
 * @property {'none' | 'endpoint-independent' | 'address-dependent' | 'address-and-port-dependent' | null} filtering
 * @property {number} routers  Of the member's own, not counting those of the Internet.
 * @property {number[]} tcp  Those of `TCP_PORTS` that can be reached.
 * @property {string[]} rules  Of each router, from the member outwards.
 */

/** Where the lab asks whether TCP passes: the port of the web and one that only we use. */
export const TCP_PORTS = [443, 3478]

/** The ports that a carrier's subscriber sends from, and the block of the carrier's own that they become (RFC 7422). */
export const SUBSCRIBER_PORTS = [40_000, 40_999]
export const CARRIER_PORTS = [20_000, 20_999]

/** The host behind a router, and the one that filters let nothing unasked reach. */
export const INSIDE = '192.168.1.2'

/** A router: what may go out, what comes in beside answers, and how addresses are translated. */
const router = ({ sets = '', out = 'accept', translate = 'masquerade', inwards = '' }) => `
table ip lab {
  ${sets}
  chain prerouting {
    type nat hook prerouting priority dstnat; policy accept;
    ${inwards}
  }
  chain postrouting {
    type nat hook postrouting priority srcnat; policy accept;
    ${translate.split('\n').map(rule => `oifname "wan" ${rule}`).join('\n    ')}
  }
  chain forward {
    type filter hook forward priority filter; policy drop;
    ct state established,related accept
    ct status dnat accept
    ${out.split('\n').map(rule => `iifname "lan" ${rule}`).join('\n    ')}
  }
  chain input {
    # Dropped and not refused: a packet that comes before its hole is punched leaves no trace in the connection table, where it
    # would make the kernel choose another port for the answer.
    type filter hook input priority filter; policy drop;
    ct state established,related accept
  }
}`

/** With one host inside, `masquerade` keeps its ports: the mapping is the same for every destination. */
const portRestricted = () => router({})

/** What was sent opens the port to everybody. */
const fullCone = () => router({
  sets: 'set mapped { type inet_service; flags dynamic,timeout; timeout 2m; size 65535; }',
  out: 'meta l4proto udp update @mapped { udp sport }\naccept',
  inwards: `iifname "wan" udp dport @mapped dnat to ${INSIDE}`,
})

/** What was sent opens the port to every port of the host it was sent to. */
const restricted = () => router({
  sets: 'set asked { type ipv4_addr . inet_service; flags dynamic,timeout; timeout 2m; size 65535; }',
  out: 'meta l4proto udp update @asked { ip daddr . udp sport }\naccept',
  inwards: `iifname "wan" ip saddr . udp dport @asked dnat to ${INSIDE}`,
})

const symmetric = () => router({ translate: 'masquerade random,fully-random' })

/** A carrier that gives each subscriber a block of ports: not the subscriber's ports, but the same for every destination (RFC 6888). */
function carrier(address) {
  const block = Array.from({ length: SUBSCRIBER_PORTS[1] - SUBSCRIBER_PORTS[0] + 1 }, (_, index) => `${SUBSCRIBER_PORTS[0] + index} : ${CARRIER_PORTS[0] + index}`)
  return router({
    sets: `map block { type inet_service : inet_service; elements = { ${block.join(', ')} } }`,
    translate: `meta l4proto udp snat to ${address} : udp sport map @block\nmasquerade`,
  })
}

/** All kinds; `address` is the public one of the outermost router. @returns {Kind[]} */
export const kinds = address => [
  { id: 'none', title: 'no NAT', mapping: 'endpoint-independent', filtering: 'none', routers: 0, tcp: TCP_PORTS, rules: [] },
  { id: 'full-cone', title: 'full cone', mapping: 'endpoint-independent', filtering: 'endpoint-independent', routers: 1, tcp: TCP_PORTS, rules: [fullCone()] },
  { id: 'restricted', title: 'restricted', mapping: 'endpoint-independent', filtering: 'address-dependent', routers: 1, tcp: TCP_PORTS, rules: [restricted()] },
  { id: 'port-restricted', title: 'port-restricted', mapping: 'endpoint-independent', filtering: 'address-and-port-dependent', routers: 1, tcp: TCP_PORTS, rules: [portRestricted()] },
  { id: 'symmetric', title: 'symmetric', mapping: 'address-and-port-dependent', filtering: 'address-and-port-dependent', routers: 1, tcp: TCP_PORTS, rules: [symmetric()] },
  { id: 'cgnat', title: 'CGNAT', mapping: 'endpoint-independent', filtering: 'address-and-port-dependent', routers: 2, tcp: TCP_PORTS, rules: [portRestricted(), carrier(address)] },
  { id: 'udp-blocked', title: 'UDP blocked', mapping: null, filtering: null, routers: 1, tcp: TCP_PORTS, rules: [router({ out: 'meta l4proto tcp accept' })] },
  { id: 'only-443', title: 'only TCP 443', mapping: null, filtering: null, routers: 1, tcp: [443], rules: [router({ out: 'tcp dport 443 accept' })] },
]

/** The kinds' ids in the order of the tables. @type {KindId[]} */
export const KIND_IDS = kinds('').map(({ id }) => id)

/**
 * Whether two members of these kinds can reach each other without a relay (RFC 5128 §3.3). A symmetric NAT talks to each
 * destination from a port that nobody could foretell, so the other side must let in any port of its address.
 * @param {Kind} one @param {Kind} other
 */
export function direct(one, other) {
  const passes = (from, to) => from.mapping !== null && (from.mapping === 'endpoint-independent' || to.filtering !== 'address-and-port-dependent')
  return passes(one, other) && passes(other, one)
}
