//! Items: the characters of a text on their way through the stages, each with the bytes that it stands for.
//!
//! These bytes give the spans and cuts of the text as it was written (docs/proofs/unigram-resume-points.md, step 5).

/// A character with the bytes of the text that it stands for. Example: "f" and "i" with the three bytes of U+FB01.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Item {
    pub(crate) c: char,
    pub(crate) start: u32,
    pub(crate) end: u32,
}

/// `items` with each character replaced by the output of `change`.
pub(crate) fn each(items: Vec<Item>, change: impl Fn(char, &mut dyn FnMut(char))) -> Vec<Item> {
    let mut output = Vec::with_capacity(items.len());
    for item in items {
        change(item.c, &mut |c| output.push(Item { c, ..item }));
    }
    output
}

pub(crate) fn replace_all(found: &[Item], content: &[char], output: &mut Vec<Item>) {
    if let (Some(first), Some(last)) = (found.first(), found.last()) {
        output.extend(content.iter().map(|&c| Item { c, start: first.start, end: last.end }));
    }
}

pub(crate) fn drop_end(mut items: Vec<Item>, is_dropped: impl Fn(char) -> bool) -> Vec<Item> {
    while items.last().is_some_and(|item| is_dropped(item.c)) {
        items.pop();
    }
    items
}

/// `items` with parts of their text replaced. `change` pushes (start, end, replacement or None for an unchanged part),
/// in order.
pub(crate) fn by_text<'r>(
    items: &[Item],
    change: impl FnOnce(&str, &mut dyn FnMut(usize, usize, Option<&'r str>)),
) -> Vec<Item> {
    let text: String = items.iter().map(|item| item.c).collect();
    let mut output = Vec::with_capacity(items.len());
    let mut rest = items;
    change(&text, &mut |start, end, replacement| {
        let count = text[start..end].chars().count();
        let (found, after) = rest.split_at(count.min(rest.len()));
        rest = after;
        match (replacement, found.first(), found.last()) {
            (Some(replacement), Some(first), Some(last)) => {
                output.extend(replacement.chars().map(|c| Item { c, start: first.start, end: last.end }));
            }
            _ => output.extend_from_slice(found),
        }
    });
    output
}

/// The ends of a part that are ends of the text.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Ends {
    pub(crate) start: bool,
    pub(crate) end: bool,
}
