//! A definition as bytes for another process, which give back the very same one.
//!
//! JSON says all but fractions: `serde_json` reads some of them one unit in the last place away from what it wrote. So
//! scores follow the JSON bit by bit, and the few fractions of the frame are written as their bits.

use super::model::Definition;
use super::read::read;
use crate::error::{Error, Result};
use serde_json::{json, Value};

/// Marks the bits of a fraction in the frame; no file has such a key.
const BITS: &str = "\u{0}bits";

impl Definition {
    /// The definition as bytes. Complexity: O(definition).
    ///
    /// # Errors
    /// None that a definition in memory can give; the type is that of the writer.
    pub fn to_bytes(&self) -> Result<Vec<u8>> {
        let mut frame = self.frame.clone();
        hide_fractions(&mut frame);
        let json = self.json_with(&frame).map_err(|error| broken(&error.to_string()))?;
        let mut bytes = (json.len() as u64).to_le_bytes().to_vec();
        bytes.extend_from_slice(json.as_bytes());
        self.pieces.scores().iter().for_each(|score| bytes.extend_from_slice(&score.to_bits().to_le_bytes()));
        Ok(bytes)
    }

    /// The definition in what [`Definition::to_bytes`] wrote.
    ///
    /// # Errors
    /// [`Error::Definition`] for other bytes. Complexity: O(bytes).
    pub fn from_bytes(bytes: &[u8]) -> Result<Self> {
        let (length, rest) = bytes.split_first_chunk::<8>().ok_or_else(|| broken("too short"))?;
        let length = usize::try_from(u64::from_le_bytes(*length)).unwrap_or(usize::MAX);
        let (json, scores) = rest.split_at_checked(length).ok_or_else(|| broken("cut off"))?;
        let read = read(json).map_err(|error| broken(&error.to_string()))?;
        let mut definition = read.ok_or_else(|| broken("no `model`"))?;
        show_fractions(&mut definition.frame);
        let whole = scores.chunks_exact(8);
        let rest = whole.remainder();
        let bits = whole.filter_map(|bits| bits.try_into().ok());
        let scores = bits.map(|bits| f64::from_bits(u64::from_le_bytes(bits))).collect();
        if !rest.is_empty() || !definition.pieces.set_scores(scores) {
            return Err(broken("the number of scores is another"));
        }
        Ok(definition)
    }
}

fn broken(reason: &str) -> Error {
    Error::definition("state", format!("{reason}: expected the bytes of a definition"))
}

fn hide_fractions(value: &mut Value) {
    match value {
        Value::Number(number) if number.is_f64() => *value = json!({BITS: number.as_f64().map(f64::to_bits)}),
        Value::Array(values) => values.iter_mut().for_each(hide_fractions),
        Value::Object(map) => map.values_mut().for_each(hide_fractions),
        _ => {}
    }
}

fn show_fractions(value: &mut Value) {
    if let Some(bits) = value.get(BITS).and_then(Value::as_u64) {
        *value = json!(f64::from_bits(bits));
        return;
    }
    match value {
        Value::Array(values) => values.iter_mut().for_each(show_fractions),
        Value::Object(map) => map.values_mut().for_each(show_fractions),
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn definition() -> Definition {
        // Seventeen digits that `serde_json` does not read exactly are among these.
        let vocab: Vec<Value> = (0..2000).map(|n| json!([format!("p{n}"), -f64::from(n).sqrt().ln_1p() / 3.0])).collect();
        let frame = json!({"model": {"type": "Unigram", "unk_id": 0, "vocab": vocab}, "coolfusion": {"lowest_score": -0.1 - 0.2}});
        Definition::from_json(frame).unwrap().unwrap()
    }

    #[test]
    fn all_comes_back_bit_by_bit() {
        let before = definition();
        let after = Definition::from_bytes(&before.to_bytes().unwrap()).unwrap();
        assert_eq!(before.frame, after.frame);
        let bits = |definition: &Definition| definition.pieces.scores().iter().map(|score| score.to_bits()).collect::<Vec<_>>();
        assert_eq!(bits(&before), bits(&after));
        assert!(before.pieces.iter().eq(after.pieces.iter()));
        let text = serde_json::to_vec(&before).unwrap();
        let plain = read(&text).unwrap().unwrap();
        assert_ne!(bits(&before), bits(&plain), "plain JSON would do: the bits are not needed");
    }

    #[test]
    fn other_bytes_are_refused() {
        let whole = definition().to_bytes().unwrap();
        for bytes in [&b""[..], b"1234567", b"\xff\xff\xff\xff\xff\xff\xff\xff{}", &whole[..whole.len() - 1], &whole[..whole.len() - 8], &whole[..99]]
        {
            assert!(Definition::from_bytes(bytes).unwrap_err().to_string().contains("bytes of a definition"));
        }
    }
}
