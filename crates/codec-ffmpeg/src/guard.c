/* Finds the damage that libavcodec conceals or does not look for: blocks that no slice covers, and references that it
 * makes up. Its own marks do not do: with frame threads they are lost between the threads' copies of a picture. */
#include "shim.h"

#include <libavutil/log.h>
#include <libavutil/mem.h>
#include <libavutil/pixdesc.h>
#include <stdio.h>
#include <string.h>

/* ---- Coverage ----
 *
 * Before a picture is decoded, a row of each 16x16 square gets a pattern, and after it none may still be there; where
 * pictures may consist of fields, two adjacent rows, which are of both. The place is out of reach of the deblocking filters of the squares around it:
 * they write at most three samples beyond the edge between them (of a field: six rows). */
enum { SQUARE = 16, ROW = 6, ROWS = 2, SAMPLES = 8 };

/* Slices that libavcodec decodes at the same time: as many as threads, of which there are fewer. */
enum { MAX_SLICES = 64 };

/* Nothing special, and no sample above 511: what follows may read them as samples of any depth. That a picture holds the
 * eight of a row by chance need not be feared. */
static const uint8_t pattern8[ROWS][SAMPLES] = {
    {0x9d, 0x2b, 0xe4, 0x51, 0x07, 0xc8, 0x76, 0xba},
    {0x38, 0xf1, 0x4d, 0x92, 0xa6, 0x0e, 0xdb, 0x65},
};
static const uint16_t pattern16[ROWS][SAMPLES] = {
    {0x19d, 0x02b, 0x0e4, 0x151, 0x007, 0x1c8, 0x076, 0x1ba},
    {0x038, 0x1f1, 0x14d, 0x092, 0x1a6, 0x00e, 0x0db, 0x165},
};

static const void *pattern_of(const Watched *picture, int row) {
    return picture->sample_bytes == 1 ? (const void *)pattern8[row] : (const void *)pattern16[row];
}

/* Squares with room for all samples. The one at the right edge may have less: the pattern is then cut. */
static int whole_squares(const Watched *picture) { return (picture->width + SQUARE - SAMPLES) / SQUARE; }

static size_t cut_bytes(const Watched *picture) {
    int samples = picture->width - whole_squares(picture) * SQUARE;
    return samples > 0 ? (size_t)samples * (size_t)picture->sample_bytes : 0;
}

/* Bytes that a processor reads at once. */
enum { CACHE_LINE = 64 };

/* Asks for the row of the squares below those whose row `line` is: it lies in the memory of another core or in none, and so far
 * away that the processor does not look ahead for it. */
static void ask_for_next(const Watched *picture, const uint8_t *line, int y) {
    const int bytes = picture->width * picture->sample_bytes;
    if (y + SQUARE + picture->rows > picture->height)
        return;
    line += SQUARE * picture->stride;
    for (int at = 0; at < bytes; at += CACHE_LINE)
        __builtin_prefetch(line + at);
}

static void fill(const Watched *picture, uint8_t *luma) {
    const int squares = whole_squares(picture);
    const size_t cut = cut_bytes(picture);
    for (int y = ROW; y + picture->rows <= picture->height; y += SQUARE)
        for (int row = 0; row < picture->rows; row++) {
            const void *pattern = pattern_of(picture, row);
            uint8_t *line = luma + (y + row) * picture->stride;
            ask_for_next(picture, line, y);
            /* Copies of a size that the compiler knows: there are many. */
            if (picture->sample_bytes == 1)
                for (int at = 0; at < squares; at++, line += SQUARE)
                    memcpy(line, pattern, sizeof(pattern8[0]));
            else
                for (int at = 0; at < squares; at++, line += 2 * SQUARE)
                    memcpy(line, pattern, sizeof(pattern16[0]));
            memcpy(line, pattern, cut);
        }
}

/* Whether one of `squares` from `line` on still has the eight bytes, of which there are `step` to the next. */
static int has(const uint8_t *line, int squares, size_t step, const void *pattern) {
    uint64_t want, got;
    int found = 0;
    memcpy(&want, pattern, sizeof(want));
    for (int at = 0; at < squares; at++, line += step) {
        memcpy(&got, line, sizeof(got));
        found |= got == want;
    }
    return found;
}

/* Whether every square was written, in each row with a pattern. */
static int is_covered(const Watched *picture) {
    const int squares = whole_squares(picture);
    const size_t cut = cut_bytes(picture);
    const size_t step = (size_t)SQUARE * (size_t)picture->sample_bytes;
    for (int y = ROW; y + picture->rows <= picture->height; y += SQUARE)
        for (int row = 0; row < picture->rows; row++) {
            const void *pattern = pattern_of(picture, row);
            const uint8_t *line = picture->luma + (y + row) * picture->stride;
            ask_for_next(picture, line, y);
            /* Of samples of two bytes the first four tell as well. */
            if (has(line, squares, step, pattern))
                return 0;
            if (cut && !memcmp(line + (size_t)squares * step, pattern, cut))
                return 0;
        }
    return 1;
}

int reelcore_get_buffer(AVCodecContext *context, AVFrame *frame, int flags) {
    Decoder *decoder = context->opaque;
    const AVPixFmtDescriptor *format = av_pix_fmt_desc_get(frame->format);
    Watched picture = {0};
    int at;
    int error = avcodec_default_get_buffer2(context, frame, flags);
    /* Those of odd packets are not shown, and what they refer to is missing. */
    if (error < 0 || !decoder->watch || !format || (frame->pts & 1))
        return error;
    /* Of G, B and R, G stands first, as luma does. */
    picture.luma = frame->data[0];
    picture.stride = frame->linesize[0];
    picture.width = frame->width;
    picture.height = frame->height;
    picture.sample_bytes = format->comp[0].depth > 8 ? 2 : 1;
    picture.rows = atomic_load(&decoder->has_fields) ? ROWS : 1;
    picture.index = frame->pts;
    pthread_mutex_lock(&decoder->lock);
    for (at = decoder->watched_count - 1; at >= 0; at--)
        if (decoder->watched[at].index == picture.index)
            break;
    if (at >= 0 && !decoder->own_is_last) {
        pthread_mutex_unlock(&decoder->lock);
        return 0;
    }
    picture.buffer = av_buffer_ref(frame->buf[0]);
    if (!picture.buffer) {
        pthread_mutex_unlock(&decoder->lock);
        return AVERROR(ENOMEM);
    }
    if (at >= 0) {
        av_buffer_unref(&decoder->watched[at].buffer);
    } else if (decoder->watched_count < MAX_WATCHED) {
        at = decoder->watched_count++;
    } else {
        decoder->overflowed = 1;
        at = 0;
        av_buffer_unref(&decoder->watched[at].buffer);
    }
    decoder->watched[at] = picture;
    pthread_mutex_unlock(&decoder->lock);
    fill(&picture, frame->data[0]);
    return 0;
}

/* Verifies the pictures of the packets up to and with `index`, which must be decoded, and watches them no longer.
 * 0: all are whole; 1: one lacks blocks. */
int reelcore_avcodec_verify(Decoder *decoder, int64_t index) {
    int damaged, kept = 0;
    pthread_mutex_lock(&decoder->lock);
    damaged = decoder->overflowed;
    for (int at = 0; at < decoder->watched_count; at++) {
        Watched *picture = &decoder->watched[at];
        if (picture->index > index) {
            decoder->watched[kept++] = *picture;
            continue;
        }
        if (!damaged && !is_covered(picture))
            damaged = 1;
        av_buffer_unref(&picture->buffer);
    }
    decoder->watched_count = kept;
    pthread_mutex_unlock(&decoder->lock);
    return damaged;
}

void reelcore_forget_watched(Decoder *decoder) {
    pthread_mutex_lock(&decoder->lock);
    for (int at = 0; at < decoder->watched_count; at++)
        av_buffer_unref(&decoder->watched[at].buffer);
    decoder->watched_count = 0;
    decoder->overflowed = 0;
    pthread_mutex_unlock(&decoder->lock);
}

/* ---- Slices and rows on several threads ----
 *
 * The H.264 decoder does not ask how its slices ended, and that of VP8 not how its rows did: it leaves one at the end of
 * its partition's data, also where it decodes them on one thread. */

static void complain(Decoder *decoder, const char *what) {
    pthread_mutex_lock(&decoder->lock);
    if (!atomic_load(&decoder->complained)) {
        snprintf(decoder->complaint, sizeof(decoder->complaint), "%s", what);
        atomic_store(&decoder->complained, 1);
    }
    pthread_mutex_unlock(&decoder->lock);
}

static int execute(AVCodecContext *context, int (*work)(AVCodecContext *, void *), void *items, int *results, int count,
                   int item_size) {
    Decoder *decoder = context->opaque;
    int own[MAX_SLICES] = {0};
    int result;
    if (results || count > MAX_SLICES)
        return decoder->execute(context, work, items, results, count, item_size);
    result = decoder->execute(context, work, items, own, count, item_size);
    for (int at = 0; at < count; at++)
        if (own[at] < 0)
            complain(decoder, "a slice is damaged");
    return result;
}

static int execute2(AVCodecContext *context, int (*work)(AVCodecContext *, void *, int, int), void *argument,
                    int *results, int count) {
    Decoder *decoder = context->opaque;
    int own[MAX_SLICES] = {0};
    int result;
    if (results || count > MAX_SLICES)
        return decoder->execute2(context, work, argument, results, count);
    result = decoder->execute2(context, work, argument, own, count);
    for (int at = 0; at < count; at++)
        if (own[at] < 0)
            complain(decoder, "a partition ends too early");
    return result;
}

/* To be called before the context is opened, as frame threads get copies of it then, in which rows of VP8 run, and again
 * afterwards, as slice threads, on which those of H.264 run as well, come with functions of their own. */
void reelcore_watch_slices(Decoder *decoder) {
    AVCodecContext *context = decoder->context;
    int slices = context->active_thread_type & FF_THREAD_SLICE;
    if (context->codec_id == AV_CODEC_ID_H264 && slices && context->execute != execute) {
        decoder->execute = context->execute;
        context->execute = execute;
    }
    if (context->codec_id == AV_CODEC_ID_VP8 && context->execute2 != execute2) {
        decoder->execute2 = context->execute2;
        context->execute2 = execute2;
    }
}

/* ---- Messages ----
 *
 * What else the H.264 decoder repairs (references that are not there, marking of pictures that are not there, slices
 * that run into each other) it tells in messages alone. */

/* libavutil's contexts are no deeper within each other. */
enum { MAX_PARENTS = 8 };

/* Told by its address. */
static const char probe[] = "reelcore: is this heard?\n";

/* Whether a message of the level of errors is of what does not touch pictures. */
static int is_harmless(const char *format) {
    static const char *const harmless[] = {"SEI",          "icture timing", "buffering period", "VUI",
                                             "aspect ratio", "crop values"};
    for (size_t at = 0; at < sizeof(harmless) / sizeof(*harmless); at++)
        if (strstr(format, harmless[at]))
            return 1;
    return 0;
}

/* Told at lower levels: that blocks were made up, and that a slice goes on behind its data. */
static int is_quiet_damage(const char *format) {
    static const char *const starts[] = {"concealing", "bytestream overread"};
    for (size_t at = 0; at < sizeof(starts) / sizeof(*starts); at++)
        if (!strncmp(format, starts[at], strlen(starts[at])))
            return 1;
    return 0;
}

/* Whether a message is of blocks that could not be decoded, whatever they refer to. */
static int is_of_blocks(const char *format) {
    return is_quiet_damage(format) || !strncmp(format, "error while decoding MB", 23);
}

/* What `object` is a part of, as libavutil's own log finds it, or NULL. */
static void *parent_of(void *object) {
    const AVClass *class = *(const AVClass *const *)object;
    return class && class->parent_log_context_offset ? *(void **)((char *)object + class->parent_log_context_offset) : NULL;
}

/* The decoder of ours that `object` is the context of, or the copy of the context that a frame thread has, or a part of,
 * as what libavutil makes to complain of sizes is. `offset` is what was added to the levels of its messages. */
static Decoder *decoder_of(void *object, int *offset) {
    *offset = LOG_LEVEL_OFFSET;
    for (int depth = 0; object && depth < MAX_PARENTS; object = parent_of(object), depth++) {
        AVCodecContext *context = object;
        if (*(const AVClass *const *)object == avcodec_get_class())
            return context->get_buffer2 == reelcore_get_buffer ? context->opaque : NULL;
        *offset = 0;
    }
    return NULL;
}

static void on_message(void *object, int level, const char *format, va_list arguments) {
    int offset;
    Decoder *decoder = decoder_of(object, &offset);
    if (!decoder) {
        av_log_default_callback(object, level, format, arguments);
        return;
    }
    if (format == probe) {
        atomic_store(&decoder->heard_probe, 1);
        return;
    }
    if (decoder->listen == LISTEN_NOT || (level - offset > AV_LOG_ERROR && !is_quiet_damage(format)) ||
        is_harmless(format) || (decoder->listen == LISTEN_BLOCKS && !is_of_blocks(format)))
        return;
    pthread_mutex_lock(&decoder->lock);
    if (!atomic_load(&decoder->complained)) {
        vsnprintf(decoder->complaint, sizeof(decoder->complaint), format, arguments);
        atomic_store(&decoder->complained, 1);
    }
    pthread_mutex_unlock(&decoder->lock);
}

static void install(void) { av_log_set_callback(on_message); }

/* libavutil has one callback for the process. It is set once: who sets another one is not fought. */
void reelcore_listen(void) {
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    pthread_once(&once, install);
}

/* Whether messages still come here. */
int reelcore_is_heard(Decoder *decoder) {
    atomic_store(&decoder->heard_probe, 0);
    av_log(decoder->context, AV_LOG_ERROR, probe);
    return atomic_load(&decoder->heard_probe);
}

/* 0: nothing was told; 1: damage was, and `text` says which; 2: messages do not come here any more. */
int reelcore_avcodec_complaint(Decoder *decoder, char *text, size_t len) {
    if (!atomic_load(&decoder->complained))
        return !decoder->listen || reelcore_is_heard(decoder) ? 0 : 2;
    pthread_mutex_lock(&decoder->lock);
    snprintf(text, len, "%s", decoder->complaint);
    pthread_mutex_unlock(&decoder->lock);
    return 1;
}
