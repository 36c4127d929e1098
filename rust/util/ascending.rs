//! Numbers that ascend.

/// Whether each of the numbers that are asked for, which ascend, is among `others`, which ascend too.
///
/// Complexity: one walk over `others` for all numbers together. Example: of 1, 3 and 4 those among 2, 3, 4 are 3 and 4.
pub(crate) fn among(others: impl Iterator<Item = usize>) -> impl FnMut(usize) -> bool {
    let mut rest = others.peekable();
    move |number| {
        while rest.next_if(|&other| other < number).is_some() {}
        rest.peek() == Some(&number)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn finds_the_numbers_of_both_lists() {
        for (numbers, others) in [([1, 3, 4], [2, 3, 4]), ([0, 5, 5], [0, 1, 5]), ([7, 8, 9], [1, 2, 3])] {
            let mut is_among = among(others.into_iter());
            assert_eq!(numbers.map(&mut is_among), numbers.map(|number| others.contains(&number)));
        }
        assert!(![0, 1].into_iter().any(among(std::iter::empty())));
    }
}
