#![doc = include_str!("../README.md")]
#![deny(unsafe_code)]

pub mod checkout;
pub mod cli;
pub mod discover;
pub mod execute;
pub mod expectations;
pub mod filter;
pub mod meta;
pub mod report;
pub mod schedule;
pub mod serve;
pub mod session;
pub mod status;
