//! What prepared nodes and buckets look like: written by `prepare.rs`, read by the lane.

/// Bounds or segments that the lane looks at for one node.
pub(crate) const MOST_MEMBERS: usize = 16;
/// Places of a table that it looks at.
pub(crate) const MOST_PLACES: usize = 64;
/// Operations of prepared nodes.
pub(crate) mod op {
    pub const LEAVE: u8 = 0;
    pub const DECIDE: u8 = 1;
    pub const JUMP: u8 = 2;
    pub const CALL: u8 = 3;
    pub const RETURN: u8 = 4;
    pub const KIND_IN: u8 = 5;
    pub const TRUTHY: u8 = 6;
    pub const BOOL_IN: u8 = 7;
    pub const NUMBER: u8 = 8;
    pub const SAME: u8 = 9;
    pub const NOW_AT_LEAST: u8 = 10;
    pub const TEXT: u8 = 11;
    pub const TEXT_IN: u8 = 12;
    pub const PREFIX: u8 = 13;
    pub const SUFFIX: u8 = 14;
    pub const VERSION: u8 = 15;
    pub const ROLLOUT: u8 = 16;
    pub const SPLIT: u8 = 17;
}

/// Flags of a prepared bucket.
pub(crate) mod how {
    /// Its text is an item of CBOR.
    pub const CBOR: u8 = 1;
    /// Only ASCII is hashed as it is.
    pub const ASCII: u8 = 2;
    /// The empty text makes it unknown.
    pub const NOT_EMPTY: u8 = 4;
    /// It is hashed part by part, by an algorithm other than MurmurHash3.
    pub const DIGEST: u8 = 8;
}

/// Four words that belong together.
///
/// A prepared node. Word 0: operation, flags, index of the slot's first word in the request (16 bits), a count or
/// length (32 bits). Word 1: yes, a second operand. Word 2: unknown, no. Word 3: an operand.
///
/// A prepared bucket: the state of the hash after the constant text before the slot. Word 0: flags, index of the slot's
/// first word, the modulus (32 bits; 0 if there is none). Word 1: hash, waiting bytes. Word 2: bytes hashed so far, length of the text behind the slot. Word 3: that
/// text, up to eight bytes.
pub type Row = [u64; 4];

/// Bit of the first word of a node or bucket: a value of any other kind makes it unknown, and not only no value.
pub(crate) const TYPED: u64 = 0x8000;

/// Bit of the first word of a node that compares versions: all three numbers have to be there.
pub(crate) const STRICT: u64 = 0x0800;

/// Integers up to this are doubles exactly, so that comparing them as doubles is comparing them.
pub(crate) const EXACT: i64 = 1 << 53;
