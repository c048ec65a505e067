//! Tokens of an issuer that answers as a test wants: what is let in, what is not, and how often the issuer is asked.

mod asking;
mod issuer;
mod rubbish;
mod who;
