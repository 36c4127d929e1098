//! The core without Python, throughput in bytes. `cargo bench` in this folder runs all, and
//! `cargo bench -- whole/llama3` runs some.
//!
//! On the embedded tokenizers and, where COOLFUSION_DATA is set, on those below its `tokenizers/`. Before anything is
//! timed, streams are compared with wholes.

#![allow(clippy::unwrap_used, clippy::expect_used, missing_docs)]

use coolfusion::{word_boundaries, Method, StreamDecoder, StreamEncoder, TextPosition, TokenId, Tokenizer};
use criterion::{criterion_group, criterion_main, BatchSize, BenchmarkId, Criterion, Throughput};
use std::hint::black_box;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

const DOCUMENT_BYTES: usize = 20_000;

/// (name, path) of each tokenizer.json, in order of the names.
fn files() -> Vec<(String, PathBuf)> {
    let mut folders = vec![Path::new(env!("CARGO_MANIFEST_DIR")).join("../../python/coolfusion/embedded")];
    folders.extend(std::env::var_os("COOLFUSION_DATA").map(|data| PathBuf::from(data).join("tokenizers")));
    let entries = folders.iter().flat_map(|folder| std::fs::read_dir(folder).expect("a folder of tokenizers"));
    let mut found: Vec<_> = entries
        .map(|entry| entry.unwrap())
        .map(|entry| (entry.file_name().to_string_lossy().into_owned(), entry.path().join("tokenizer.json")))
        .filter(|(_, path)| path.is_file())
        .collect();
    found.sort();
    assert!(!found.is_empty(), "no tokenizer.json below {folders:?}");
    found
}

fn load(path: &Path) -> Arc<Tokenizer> {
    let bytes = std::fs::read(path).unwrap();
    let definition = coolfusion::formats::read(&bytes, "bench", None).unwrap();
    Arc::new(Tokenizer::from_spec(definition, "bench").unwrap())
}

/// Prose, source code and Japanese, each of some kilobytes.
fn texts() -> [(&'static str, String); 3] {
    let japanese =
        "吾輩は猫である。名前はまだ無い。どこで生れたかとんと見当がつかぬ。 何でも薄暗いじめじめした所で泣いていた。\n";
    let repeated = |text: &str| text.repeat(DOCUMENT_BYTES / text.len() + 1);
    [
        ("prose", repeated(include_str!("../../README.md"))),
        ("source", repeated(include_str!("../../rust/streams/segmenter.rs"))),
        ("japanese", repeated(japanese)),
    ]
}

/// Words with the white space before them, as a model writes them.
fn words(text: &str) -> Vec<&str> {
    let mut cuts: Vec<usize> = text.match_indices(' ').map(|(at, _)| at).filter(|&at| at > 0).collect();
    cuts.push(text.len());
    let starts = std::iter::once(0).chain(cuts.iter().copied());
    starts.zip(cuts.iter().copied()).map(|(start, end)| &text[start..end]).collect()
}

fn core(criterion: &mut Criterion) {
    let texts = texts();
    for (name, path) in files() {
        let tokenizer = load(&path);
        for (kind, text) in &texts {
            let label = format!("{name}/{kind}");
            let ids = checked(&tokenizer, text);
            let bytes = Throughput::Bytes(text.len() as u64);

            let mut group = criterion.benchmark_group("whole");
            group.throughput(bytes.clone());
            group.bench_function(BenchmarkId::new("encode", &label), |b| {
                b.iter(|| tokenizer.encode(black_box(text), TextPosition::Start))
            });
            group.bench_function(BenchmarkId::new("ids", &label), |b| {
                b.iter(|| tokenizer.ids(black_box(text), TextPosition::Start))
            });
            group.bench_function(BenchmarkId::new("decode_bytes", &label), |b| {
                b.iter(|| tokenizer.decode_bytes(black_box(&ids), TextPosition::Start))
            });
            group.bench_function(BenchmarkId::new("settled", &label), |b| {
                b.iter(|| tokenizer.settled(black_box(text), TextPosition::Start))
            });
            group.bench_function(BenchmarkId::new("word_boundaries", &label), |b| {
                b.iter(|| word_boundaries(&tokenizer, black_box(text), Method::Auto));
            });
            group.finish();

            let mut group = criterion.benchmark_group("stream");
            group.throughput(bytes);
            group.bench_function(BenchmarkId::new("decoder_push", &label), |b| {
                b.iter(|| {
                    let mut decoder = StreamDecoder::new(tokenizer.clone(), &[]).unwrap();
                    let mut written = String::with_capacity(text.len());
                    for &id in black_box(&ids) {
                        decoder.push(id, &mut written).unwrap();
                    }
                    written
                });
            });
            let part = &words(text)[..100];
            group.throughput(Throughput::Bytes(part.iter().map(|word| word.len() as u64).sum()));
            group.bench_function(BenchmarkId::new("encoder_push", &label), |b| {
                let new = || StreamEncoder::new(tokenizer.clone(), 4);
                let push = |mut encoder: StreamEncoder| {
                    part.iter().map(|word| encoder.push(word).unwrap().dropped()).sum::<usize>()
                };
                b.iter_batched(new, push, BatchSize::SmallInput);
            });
            group.finish();
        }
    }
}

/// The ids of `text`, after the streams gave what the wholes give.
fn checked(tokenizer: &Arc<Tokenizer>, text: &str) -> Vec<TokenId> {
    let ids = tokenizer.ids(text, TextPosition::Start).unwrap();
    let tokens = tokenizer.encode(text, TextPosition::Start).unwrap();
    assert!(tokens.iter().map(|token| token.id).eq(ids.iter().copied()));
    let mut encoder = StreamEncoder::new(tokenizer.clone(), 4);
    for word in words(text).into_iter().take(100) {
        encoder.push(word).unwrap();
    }
    assert_eq!(encoder.ids(), tokenizer.ids(encoder.text(), TextPosition::Start).unwrap());
    let mut decoder = StreamDecoder::new(tokenizer.clone(), &[]).unwrap();
    let mut written = String::new();
    for &id in &ids {
        decoder.push(id, &mut written).unwrap();
    }
    decoder.flush(&mut written);
    assert_eq!(written, String::from_utf8_lossy(&tokenizer.decode_bytes(&ids, TextPosition::Start).unwrap()));
    ids
}

/// A second for each figure: the ratios that decide are those of `make bench`.
fn short() -> Criterion {
    Criterion::default()
        .sample_size(20)
        .warm_up_time(Duration::from_millis(200))
        .measurement_time(Duration::from_millis(600))
}

criterion_group! { name = benches; config = short(); targets = core }
criterion_main!(benches);
