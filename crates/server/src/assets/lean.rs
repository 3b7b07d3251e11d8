//! Modules without the comments that stand on lines of their own: nobody who loads a page reads them, and they are a
//! third of what it would download. What is left keeps its lines, so that a browser's stack traces fit the sources.
//!
//! It is no parser. It takes lines that begin with `//`, and blocks that begin a line with `/**` and end one with `*/`;
//! `tests/browser/served.test.mjs` holds what is served against the sources with a real one, since a template literal
//! could contain such lines.

/// The source without whole-line comments, line for line.
pub(super) fn without_comments(source: &str) -> String {
    let mut lean = String::with_capacity(source.len());
    let mut lines = source.split_inclusive('\n');
    while let Some(line) = lines.next() {
        let text = line.trim_start();
        if text.starts_with("//") {
            lean.push_str(ending(line));
        } else if text.starts_with("/**") {
            skip_block(line, &mut lines, &mut lean);
        } else {
            lean.push_str(line);
        }
    }
    lean
}

/// Leaves out a block, unless code follows on its last line or it has no end.
fn skip_block<'s>(first: &'s str, lines: &mut impl Iterator<Item = &'s str>, lean: &mut String) {
    let opened = first.len() - first.trim_start().len() + 2;
    let mut block = vec![first];
    let mut end = first[opened..].find("*/").map(|at| opened + at + 2);
    while end.is_none() {
        let Some(line) = lines.next() else { break };
        end = line.find("*/").map(|at| at + 2);
        block.push(line);
    }
    let alone = end.zip(block.last()).is_some_and(|(end, last)| last[end..].trim().is_empty());
    for line in block {
        lean.push_str(if alone { ending(line) } else { line });
    }
}

fn ending(line: &str) -> &str {
    if line.ends_with("\r\n") {
        "\r\n"
    } else if line.ends_with('\n') {
        "\n"
    } else {
        ""
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn leaves_out_lines_and_blocks_that_are_comments_alone_and_keeps_their_number() {
        let source = "//! What it is for.\n\n  // why\nlet a = 1 // stays\n/** @type {A} */\nlet b\n  /**\n   * Many.\n   */\nf()";
        assert_eq!(without_comments(source), "\n\n\nlet a = 1 // stays\n\nlet b\n\n\n\nf()");
    }

    #[test]
    fn keeps_a_block_that_code_follows_or_that_never_ends() {
        for source in
            ["/** @type {A} */ (f)()\n", "/**\n * two\n */ f()\n", "/** open\nf()\n", "a = '/** x */'\n", "/**/ f()\n"]
        {
            assert_eq!(without_comments(source), source);
        }
    }

    #[test]
    fn keeps_the_ends_of_lines() {
        assert_eq!(without_comments("// a\r\nb\r\n// c"), "\r\nb\r\n");
    }
}
