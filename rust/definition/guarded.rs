//! The definition as the library gets it, and what is known of it.

use super::{flag, kind, model_name, text, Definition, Reader};
use crate::error::{Error, Result};
use crate::formats::charsmap::Charsmap;
use crate::library::Facts;
use crate::reading::Reading;
use crate::vocabulary::Vocabulary;
use base64::Engine as _;
use rustc_hash::{FxHashMap, FxHashSet};
use serde_json::Value;

/// What a control piece is called where no text may find it.
pub(super) fn hidden_name(piece: &str) -> String {
    format!("\u{10FFFE} control {piece}")
}

impl Reader<'_> {
    /// The charsmap that we apply ourselves, because the library's reading of it is not SentencePiece's.
    pub(super) fn exact_charsmap(&self) -> Result<Option<Charsmap>> {
        if self.definition.pointer("/coolfusion/exact_charsmap").and_then(Value::as_bool) != Some(true) {
            return Ok(None);
        }
        let stage = self.normalizers.iter().find(|n| kind(n) == "Precompiled");
        let blob = stage.and_then(|stage| text(stage, "precompiled_charsmap"));
        let decoded = blob.map(|blob| base64::engine::general_purpose::STANDARD.decode(blob)).transpose();
        let blob = decoded.map_err(|error| Error::definition("normalizer", format!("precompiled_charsmap: {error}")))?;
        // User-defined symbols of SentencePiece are not rewritten.
        let keeps = self.definition.pointer("/coolfusion/charsmap_keeps").and_then(Value::as_array);
        let keeps: Vec<String> = keeps.into_iter().flatten().filter_map(Value::as_str).map(String::from).collect();
        blob.map(|blob| Ok(Charsmap::new(&blob)?.keeping(keeps))).transpose()
    }

    /// The numbers of the control pieces that a model would find in a text by their spelling: all of a Unigram model, and
    /// those that only the look-up of whole words finds.
    pub(super) fn hidden_pieces(&self) -> FxHashSet<usize> {
        let whole_words = model_name(self.whole) == "BPE" && flag(self.model, "ignore_merges") == Some(true);
        if !whole_words && model_name(self.whole) != "Unigram" {
            return FxHashSet::default();
        }
        let controls = self.added.iter().filter(|a| a.control);
        let numbers = controls.filter_map(|a| self.pieces.number(&a.content).filter(|&number| self.pieces.id(number) == a.id));
        let mut numbers: FxHashSet<usize> = numbers.collect();
        if let Some(merges) = self.whole.merges.as_ref().filter(|_| whole_words && !numbers.is_empty()) {
            let lengths: FxHashSet<usize> = numbers.iter().map(|&number| self.pieces.piece(number).len()).collect();
            let longest = lengths.iter().copied().max().unwrap_or(0);
            let mut can_be_made = vec![false; longest + 1];
            lengths.into_iter().for_each(|length| can_be_made[length] = true);
            let mut is_control = vec![false; self.pieces.len()];
            numbers.iter().for_each(|&number| is_control[number] = true);
            let mut buffer = String::new();
            for &(left, right) in &merges.pairs {
                let (left, right) = (left as usize, right as usize);
                let length = self.pieces.piece(left).len() + self.pieces.piece(right).len();
                // Few merges make something as long as a control token.
                let made = if can_be_made.get(length) == Some(&true) { self.pieces.joined(left, right, 0, &mut buffer) } else { None };
                for number in [Some(left), Some(right), made].into_iter().flatten().filter(|&number| is_control[number]) {
                    numbers.remove(&number);
                }
            }
        }
        numbers
    }

    /// Puts tokens that no text holds between added tokens, so that the library's numbering gives each its id.
    fn fill_ids(&self, definition: &mut Value) {
        let Some(list) = definition.get_mut("added_tokens").and_then(Value::as_array_mut) else { return };
        let mut next = self.pieces.len() as u64;
        let filler = |id: u64| {
            let flags = [("single_word", false), ("lstrip", false), ("rstrip", false), ("normalized", false), ("special", true)];
            let mut token = serde_json::json!({"id": id, "content": hidden_name(&format!("id {id}"))});
            flags.into_iter().for_each(|(key, value)| token[key] = value.into());
            token
        };
        for token in std::mem::take(list) {
            let id = token.get("id").and_then(Value::as_u64).unwrap_or(0);
            let found = text(&token, "content").and_then(|content| self.added.iter().find(|a| a.content == content));
            // Pieces have the ids of the model; of the others those that are written in ascending order can be filled.
            if found.is_some_and(|a| u64::from(a.id) == id && self.pieces.find(&a.content) != Some(a.id)) {
                const MOST: u64 = 1 << 16;
                list.extend((next..id.min(next + MOST)).map(filler));
                next = next.max(id) + 1;
            }
            list.push(token);
        }
    }

    /// The definition for the library: no control token can be found in a text.
    pub(super) fn guarded(&self, without_charsmap: bool) -> Definition {
        let mut definition = self.definition.clone();
        if without_charsmap {
            if let Some(steps) = definition.pointer_mut("/normalizer/normalizers").and_then(Value::as_array_mut) {
                steps.retain(|step| kind(step) != "Precompiled");
            }
        }
        let controls: FxHashMap<&str, u32> = self.added.iter().filter(|a| a.control).map(|a| (a.content.as_str(), a.id)).collect();
        // No text holds these names.
        let hidden = self.hidden_pieces();
        let hides = |content: &str| model_name(self.whole) == "Unigram" || self.pieces.number(content).is_some_and(|n| hidden.contains(&n));
        if let Some(list) = definition.get_mut("added_tokens").and_then(Value::as_array_mut) {
            for token in list {
                let content = text(token, "content").unwrap_or_default().to_string();
                if controls.contains_key(content.as_str()) {
                    for (key, value) in [("special", true), ("lstrip", false), ("rstrip", false), ("single_word", false)] {
                        token[key] = value.into();
                    }
                    if hides(&content) {
                        token["content"] = hidden_name(&content).into();
                    }
                }
            }
        }
        if definition.get("coolfusion").is_some() || flag(&definition, "declared_ids") == Some(true) {
            self.fill_ids(&mut definition);
        }
        if let Some(unknown) = text(self.model, "unk_token").filter(|unknown| self.pieces.number(unknown).is_some_and(|n| hidden.contains(&n))) {
            definition["model"]["unk_token"] = hidden_name(unknown).into();
        }
        for key in ["truncation", "padding", "post_processor"] {
            definition[key] = Value::Null;
        }
        if let Some(map) = definition.as_object_mut() {
            map.remove("coolfusion");
            map.remove("declared_ids");
        }
        let pieces = if hidden.is_empty() { self.pieces.clone() } else { self.pieces.renamed(|number| hidden.contains(&number), hidden_name) };
        Definition { frame: definition, pieces, merges: self.whole.merges.clone(), ranks: None }
    }

    pub(super) fn facts(&self, vocabulary: &Vocabulary, reading: &Reading, charsmap: Option<Charsmap>, reason: &str) -> Facts {
        let keeps = |n: &&Value| match kind(n) {
            "Prepend" => true,
            "Replace" => n.pointer("/pattern/String").and_then(Value::as_str) == Some(" ") && text(n, "content") == Some("\u{2581}"),
            _ => false,
        };
        let plain =
            self.pre_tokenizers.iter().all(|p| kind(p) == "Metaspace") && self.chain.is_marked(self.chain.reads_bytes()) && reading.is_plain();
        Facts {
            charsmap,
            normalizes: !(self.normalizers.iter().all(keeps) && plain),
            has_unknown: self.unknown.is_some(),
            has_added_text: self.added.iter().any(|a| !a.control),
            cuts: self.space_cuts(),
            vocabulary: vocabulary.clone(),
            reading: reading.clone(),
            notes: format!("tokenizers crate ({reason})"),
        }
    }
}
