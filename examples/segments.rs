//! Two tokenizers on one text: stable boundaries, common boundaries, groups of tokens, streams and segments.
//!
//! ```text
//! cargo run --example segments
//! cargo run --example segments -- a/tokenizer.json b/tokenizer.model "Some text."
//! ```

use coolfusion::{
    align, common_boundaries, word_boundaries, Encoding, Granularity, Limits, Method, Result, Rules, Segmenter,
    StreamDecoder, StreamEncoder, TextPosition, Tokenizer,
};
use std::sync::Arc;

fn main() -> Result<()> {
    let given: Vec<String> = std::env::args().skip(1).collect();
    let argument = |at: usize, usual: &str| given.get(at).cloned().unwrap_or_else(|| usual.to_owned());
    let first = Tokenizer::from_file(argument(0, "examples/toy/plain.json").as_ref(), None)?;
    let second = Tokenizer::from_file(argument(1, "examples/toy/spaced.json").as_ref(), None)?;
    let text = argument(2, "the cat sat on the mat");

    boundaries(&first, &second, &text)?;
    groups(&first, &second, &text)?;
    streams(&first, &second, &text)?;
    segments(&first, &second, &text)
}

/// The positions that no later text can change, of each tokenizer and of both.
fn boundaries(first: &Tokenizer, second: &Tokenizer, text: &str) -> Result<()> {
    for tokenizer in [first, second] {
        println!("{}", tokenizer.name());
        println!("  settled cuts     {:?}", tokenizer.settled(text, TextPosition::Start)?);
        println!("  word boundaries  {:?}", word_boundaries(tokenizer, text, Method::Auto)?);
    }
    println!("common boundaries  {:?}", common_boundaries([first, second], text)?);
    Ok(())
}

/// The tokens between common cuts: numbers per token can be moved from one tokenizer to the other group by group.
fn groups(first: &Tokenizer, second: &Tokenizer, text: &str) -> Result<()> {
    let encodings = [first, second].map(|tokenizer| Encoding { tokenizer, ids: None });
    let rules = Rules { place: TextPosition::Start, characters: true };
    let aligned = align(encodings.into(), Some(text.as_bytes()), rules)?;
    println!("common cuts        {:?}", aligned.byte_boundaries);
    println!("tokens before them {:?} and {:?}", aligned.token_boundaries[0], aligned.token_boundaries[1]);
    Ok(())
}

/// Ids of one tokenizer become text piece by piece, and the text becomes ids of the other.
fn streams(first: &Arc<Tokenizer>, second: &Arc<Tokenizer>, text: &str) -> Result<()> {
    let mut decoder = StreamDecoder::new(first.clone(), &[])?;
    let mut encoder = StreamEncoder::new(second.clone(), 4);
    for id in first.ids(text, TextPosition::Start)? {
        let mut piece = String::new();
        decoder.push(id, &mut piece)?;
        let edit = encoder.push(&piece)?;
        println!("  {piece:?}: drop {} ids, append {}", edit.dropped(), edit.ids().len());
    }
    assert_eq!(encoder.ids(), second.ids(encoder.text(), TextPosition::Start)?);
    Ok(())
}

/// Generated tokens become segments as soon as both tokenizers can follow.
fn segments(first: &Arc<Tokenizer>, second: &Arc<Tokenizer>, text: &str) -> Result<()> {
    let limits = Limits { granularity: Granularity::Word, max_bytes: Granularity::Word.max_bytes() };
    let mut segmenter = Segmenter::new(first.clone(), vec![second.clone()], &[], None, limits)?;
    for id in first.ids(text, TextPosition::Start)? {
        if let Some(segment) = segmenter.push(id)? {
            println!("segment {:?} ({})", segment.text, segment.level.name());
        }
    }
    while let Some(segment) = segmenter.finish()? {
        println!("segment {:?} ({})", segment.text, segment.level.name());
    }
    Ok(())
}
