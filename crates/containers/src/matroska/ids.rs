//! Element IDs: RFC 8794 (EBML) and RFC 9559 (Matroska), section 5.

macro_rules! ids {
    ($($(#[$doc:meta])* $name:ident = $id:literal $text:literal;)*) => {
        $($(#[$doc])* pub(crate) const $name: u32 = $id;)*

        /// An element's name, for messages.
        pub(crate) fn name(id: u32) -> &'static str {
            match id {
                $($name => $text,)*
                _ => "unknown",
            }
        }
    };
}

ids! {
    EBML = 0x1A45_DFA3 "EBML";
    EBML_VERSION = 0x4286 "EBMLVersion";
    EBML_READ_VERSION = 0x42F7 "EBMLReadVersion";
    EBML_MAX_ID_LENGTH = 0x42F2 "EBMLMaxIDLength";
    EBML_MAX_SIZE_LENGTH = 0x42F3 "EBMLMaxSizeLength";
    DOC_TYPE = 0x4282 "DocType";
    DOC_TYPE_READ_VERSION = 0x4285 "DocTypeReadVersion";
    DOC_TYPE_VERSION = 0x4287 "DocTypeVersion";
    VOID = 0xEC "Void";

    SEGMENT = 0x1853_8067 "Segment";
    SEEK_HEAD = 0x114D_9B74 "SeekHead";
    SEEK = 0x4DBB "Seek";
    SEEK_ID = 0x53AB "SeekID";
    SEEK_POSITION = 0x53AC "SeekPosition";

    INFO = 0x1549_A966 "Info";
    TIMESTAMP_SCALE = 0x2A_D7B1 "TimestampScale";
    DURATION = 0x4489 "Duration";
    DATE_UTC = 0x4461 "DateUTC";
    TITLE = 0x7BA9 "Title";
    MUXING_APP = 0x4D80 "MuxingApp";
    WRITING_APP = 0x5741 "WritingApp";

    CLUSTER = 0x1F43_B675 "Cluster";
    TIMESTAMP = 0xE7 "Timestamp";
    SIMPLE_BLOCK = 0xA3 "SimpleBlock";
    BLOCK_GROUP = 0xA0 "BlockGroup";
    BLOCK = 0xA1 "Block";
    BLOCK_ADDITIONS = 0x75A1 "BlockAdditions";
    BLOCK_MORE = 0xA6 "BlockMore";
    BLOCK_ADD_ID = 0xEE "BlockAddID";
    BLOCK_ADDITIONAL = 0xA5 "BlockAdditional";
    BLOCK_DURATION = 0x9B "BlockDuration";
    REFERENCE_BLOCK = 0xFB "ReferenceBlock";
    DISCARD_PADDING = 0x75A2 "DiscardPadding";

    TRACKS = 0x1654_AE6B "Tracks";
    TRACK_ENTRY = 0xAE "TrackEntry";
    TRACK_NUMBER = 0xD7 "TrackNumber";
    TRACK_UID = 0x73C5 "TrackUID";
    TRACK_TYPE = 0x83 "TrackType";
    FLAG_LACING = 0x9C "FlagLacing";
    NAME = 0x536E "Name";
    MAX_BLOCK_ADDITION_ID = 0x55EE "MaxBlockAdditionID";
    DEFAULT_DURATION = 0x23_E383 "DefaultDuration";
    LANGUAGE = 0x22_B59C "Language";
    LANGUAGE_BCP47 = 0x22_B59D "LanguageBCP47";
    CODEC_ID = 0x86 "CodecID";
    CODEC_PRIVATE = 0x63A2 "CodecPrivate";
    CODEC_DELAY = 0x56AA "CodecDelay";
    SEEK_PRE_ROLL = 0x56BB "SeekPreRoll";

    VIDEO = 0xE0 "Video";
    ALPHA_MODE = 0x53C0 "AlphaMode";
    PIXEL_WIDTH = 0xB0 "PixelWidth";
    PIXEL_HEIGHT = 0xBA "PixelHeight";
    PIXEL_CROP_BOTTOM = 0x54AA "PixelCropBottom";
    PIXEL_CROP_TOP = 0x54BB "PixelCropTop";
    PIXEL_CROP_LEFT = 0x54CC "PixelCropLeft";
    PIXEL_CROP_RIGHT = 0x54DD "PixelCropRight";
    DISPLAY_WIDTH = 0x54B0 "DisplayWidth";
    DISPLAY_HEIGHT = 0x54BA "DisplayHeight";
    DISPLAY_UNIT = 0x54B2 "DisplayUnit";
    COLOUR = 0x55B0 "Colour";
    MATRIX_COEFFICIENTS = 0x55B1 "MatrixCoefficients";
    RANGE = 0x55B9 "Range";
    TRANSFER_CHARACTERISTICS = 0x55BA "TransferCharacteristics";
    PRIMARIES = 0x55BB "Primaries";
    PROJECTION = 0x7670 "Projection";
    PROJECTION_TYPE = 0x7671 "ProjectionType";
    PROJECTION_POSE_YAW = 0x7673 "ProjectionPoseYaw";
    PROJECTION_POSE_PITCH = 0x7674 "ProjectionPosePitch";
    PROJECTION_POSE_ROLL = 0x7675 "ProjectionPoseRoll";

    AUDIO = 0xE1 "Audio";
    SAMPLING_FREQUENCY = 0xB5 "SamplingFrequency";
    OUTPUT_SAMPLING_FREQUENCY = 0x78B5 "OutputSamplingFrequency";
    CHANNELS = 0x9F "Channels";
    BIT_DEPTH = 0x6264 "BitDepth";

    CONTENT_ENCODINGS = 0x6D80 "ContentEncodings";
    CONTENT_ENCODING = 0x6240 "ContentEncoding";
    CONTENT_ENCODING_ORDER = 0x5031 "ContentEncodingOrder";
    CONTENT_ENCODING_SCOPE = 0x5032 "ContentEncodingScope";
    CONTENT_ENCODING_TYPE = 0x5033 "ContentEncodingType";
    CONTENT_COMPRESSION = 0x5034 "ContentCompression";
    CONTENT_COMP_ALGO = 0x4254 "ContentCompAlgo";
    CONTENT_COMP_SETTINGS = 0x4255 "ContentCompSettings";
    CONTENT_ENCRYPTION = 0x5035 "ContentEncryption";
    CONTENT_ENC_ALGO = 0x47E1 "ContentEncAlgo";
    CONTENT_ENC_KEY_ID = 0x47E2 "ContentEncKeyID";
    CONTENT_ENC_AES_SETTINGS = 0x47E7 "ContentEncAESSettings";
    AES_SETTINGS_CIPHER_MODE = 0x47E8 "AESSettingsCipherMode";

    CUES = 0x1C53_BB6B "Cues";
    CUE_POINT = 0xBB "CuePoint";
    CUE_TIME = 0xB3 "CueTime";
    CUE_TRACK_POSITIONS = 0xB7 "CueTrackPositions";
    CUE_TRACK = 0xF7 "CueTrack";
    CUE_CLUSTER_POSITION = 0xF1 "CueClusterPosition";
    CUE_RELATIVE_POSITION = 0xF0 "CueRelativePosition";

    TAGS = 0x1254_C367 "Tags";
    TAG = 0x7373 "Tag";
    TARGETS = 0x63C0 "Targets";
    TAG_TRACK_UID = 0x63C5 "TagTrackUID";
    TAG_EDITION_UID = 0x63C9 "TagEditionUID";
    TAG_CHAPTER_UID = 0x63C4 "TagChapterUID";
    TAG_ATTACHMENT_UID = 0x63C6 "TagAttachmentUID";
    SIMPLE_TAG = 0x67C8 "SimpleTag";
    TAG_NAME = 0x45A3 "TagName";
    TAG_STRING = 0x4487 "TagString";

    CHAPTERS = 0x1043_A770 "Chapters";
    ATTACHMENTS = 0x1941_A469 "Attachments";
}

/// Whether an element can only stand directly in the Segment, or begins another file: it ends a Cluster of unknown size
/// (RFC 8794, section 6.2).
pub(crate) fn ends_cluster(id: u32) -> bool {
    matches!(
        id,
        CLUSTER | CUES | TAGS | TRACKS | INFO | SEEK_HEAD | CHAPTERS | ATTACHMENTS | SEGMENT | EBML
    )
}
