//! Pictures that a stream says not to show. No encoder at hand writes pic_output_flag, so it is put into a stream that
//! one wrote.

mod common;

use common::*;
use reelcore_media::EncodedChunk;
use reelcore_media::h264::{BitReader, unescape_into};
use reelcore_media::hevc::{Nal, NalType, Packaging, nal_units};
use rusty_h265::nal::{NalHeader, escape_into};
use rusty_h265::ps::{Pps, Sps, parse_pps, parse_sps};
use rusty_h265::slice::parse_slice_header;

fn payload(nal: &Nal<'_>) -> Vec<u8> {
    let mut rbsp = Vec::new();
    unescape_into(nal.payload(), usize::MAX, &mut rbsp);
    rbsp
}

/// Sets output_flag_present_flag.
fn with_output_flags(pps: &Nal<'_>) -> Vec<u8> {
    let mut rbsp = payload(pps);
    let mut reader = BitReader::new(&rbsp, "PPS");
    reader.ue("pps_pic_parameter_set_id").unwrap();
    reader.ue("pps_seq_parameter_set_id").unwrap();
    reader
        .flag("dependent_slice_segments_enabled_flag")
        .unwrap();
    let at = reader.position();
    assert!(!reader.flag("output_flag_present_flag").unwrap());
    rbsp[at / 8] |= 0x80 >> (at % 8);
    rbsp
}

/// Inserts pic_output_flag after slice_type.
fn with_output_flag(slice: &Nal<'_>, sets: &(Sps, Pps), shown: bool) -> Vec<u8> {
    let rbsp = payload(slice);
    let mut reader = BitReader::new(&rbsp, "slice");
    assert!(reader.flag("first_slice_segment_in_pic_flag").unwrap());
    if slice.nal_type.is_irap() {
        reader.flag("no_output_of_prior_pics_flag").unwrap();
    }
    reader.ue("slice_pic_parameter_set_id").unwrap();
    assert_eq!(sets.1.num_extra_slice_header_bits, 0);
    reader.ue("slice_type").unwrap();
    let at = reader.position();
    let header = parse_slice_header(
        &mut rusty_h265::bits::BitReader::new(&rbsp),
        &NalHeader::parse(slice.bytes).unwrap(),
        &|_| Some((&sets.0, &sets.1)),
        None,
    )
    .unwrap();
    let bit = |index: usize| rbsp[index / 8] & (0x80 >> (index % 8)) != 0;
    // The header ends before alignment_bit_equal_to_one.
    let end = (0..header.data_offset * 8).rfind(|&i| bit(i)).unwrap();
    let bits = (0..at)
        .map(bit)
        .chain([shown])
        .chain((at..end).map(bit))
        .chain([true])
        .collect::<Vec<_>>();
    let mut out: Vec<u8> = bits
        .chunks(8)
        .map(|byte| {
            let ones = byte.iter().enumerate().filter(|(_, bit)| **bit);
            ones.map(|(index, _)| 0x80 >> index).sum()
        })
        .collect();
    out.extend_from_slice(&rbsp[header.data_offset..]);
    out
}

#[test]
fn pictures_with_pic_output_flag_0_are_decoded_and_not_shown() {
    let stream = Stream::read("b-pyramid");
    let set = |nal_type| {
        nal_units(&stream.bytes, Packaging::AnnexB)
            .map(|nal| nal.unwrap())
            .find(|nal| nal.nal_type == nal_type)
            .unwrap()
    };
    let sets = (
        parse_sps(&payload(&set(NalType::SPS))).unwrap(),
        parse_pps(&payload(&set(NalType::PPS))).unwrap(),
    );
    // The first picture and two more, to which others refer.
    let hidden = [0, 1, 12];
    let chunks: Vec<_> = stream
        .chunks()
        .iter()
        .enumerate()
        .map(|(index, chunk)| {
            let mut data = Vec::new();
            for nal in nal_units(&chunk.data, Packaging::AnnexB) {
                let nal = nal.unwrap();
                data.extend_from_slice(&[0, 0, 1]);
                data.extend_from_slice(&nal.bytes[..2]);
                match nal.nal_type {
                    NalType::PPS => escape_into(&with_output_flags(&nal), &mut data),
                    t if t.is_vcl() => {
                        let shown = !hidden.contains(&index);
                        escape_into(&with_output_flag(&nal, &sets, shown), &mut data);
                    }
                    _ => data.extend_from_slice(nal.payload()),
                }
            }
            EncodedChunk {
                data: data.into(),
                ..chunk.clone()
            }
        })
        .collect();
    let all = stream.output_times();
    let hidden: Vec<i64> = hidden.iter().map(|&i| stream.times[i].0).collect();
    let shown = |index: &usize| !hidden.contains(&all[*index].0);
    let want: Vec<_> = (0..all.len()).filter(shown).collect();
    let frames = decode_all(&mut *start(&config()), &chunks);
    let want_times: Vec<_> = want.iter().map(|&i| all[i]).collect();
    assert_eq!(times(&frames), want_times);
    let want_md5: Vec<_> = want.iter().map(|&i| stream.md5[i].clone()).collect();
    assert_eq!(checksums(&frames), want_md5);
}
