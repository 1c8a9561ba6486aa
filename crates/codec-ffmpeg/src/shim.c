/* What Rust asks of libavcodec, compiled against the installed headers. */
#include "shim.h"

#include <libavutil/pixdesc.h>
#include <string.h>

unsigned reelcore_avcodec_headers(void) { return LIBAVCODEC_VERSION_INT; }

unsigned reelcore_avcodec_version(void) { return avcodec_version(); }

int reelcore_avcodec_has_decoder(const char *name) {
    return avcodec_find_decoder_by_name(name) != NULL;
}

/* Told to Rust where the log callback is another one's. */
#define NOT_HEARD AVERROR(EBUSY)

/* What a frame says, in types that do not differ from version to version. */
typedef struct {
    const char *format;
    int width, height;
    int64_t crop_left, crop_top, crop_right, crop_bottom;
    const uint8_t *data[4];
    int linesize[4];
    int64_t index;
    int aspect_num, aspect_den;
    int primaries, transfer, matrix, range;
    int corrupt, concealed;
} FrameInfo;

void reelcore_avcodec_free(Decoder *decoder) {
    if (!decoder)
        return;
    /* Joins the frame threads: nobody calls back after this. */
    avcodec_free_context(&decoder->context);
    av_packet_free(&decoder->packet);
    reelcore_forget_watched(decoder);
    pthread_mutex_destroy(&decoder->lock);
    av_free(decoder);
}

/* The pixel format: in memory, and of a kind that Rust has a name for. Those of hardware come first in the list. */
static enum AVPixelFormat choose_format(AVCodecContext *context, const enum AVPixelFormat *formats) {
    (void)context;
    for (; *formats != AV_PIX_FMT_NONE; formats++) {
        const AVPixFmtDescriptor *format = av_pix_fmt_desc_get(*formats);
        if (format && !(format->flags & AV_PIX_FMT_FLAG_HWACCEL))
            return *formats;
    }
    return AV_PIX_FMT_NONE;
}

int reelcore_avcodec_create(const char *name, const uint8_t *extradata, size_t extradata_len, int threads,
                            int low_delay, int strict, int inexact, int64_t max_pixels, Decoder **out) {
    const AVCodec *codec = avcodec_find_decoder_by_name(name);
    Decoder *decoder;
    AVCodecContext *context;
    int error = AVERROR(ENOMEM);
    *out = NULL;
    if (!codec)
        return AVERROR_DECODER_NOT_FOUND;
    if (extradata_len > INT_MAX - AV_INPUT_BUFFER_PADDING_SIZE)
        return AVERROR(EINVAL);
    decoder = av_mallocz(sizeof(*decoder));
    if (!decoder)
        return error;
    pthread_mutex_init(&decoder->lock, NULL);
    decoder->context = context = avcodec_alloc_context3(codec);
    decoder->packet = av_packet_alloc();
    if (!context || !decoder->packet)
        goto fail;
    if (extradata_len) {
        context->extradata = av_mallocz(extradata_len + AV_INPUT_BUFFER_PADDING_SIZE);
        if (!context->extradata)
            goto fail;
        memcpy(context->extradata, extradata, extradata_len);
        context->extradata_size = (int)extradata_len;
    }
    /* VP8 and VP9 have no slices: every block is written, or the decoder gives up. That of VP9 says so, and of VP8 each
       row does. */
    decoder->watch = codec->id == AV_CODEC_ID_H264 || codec->id == AV_CODEC_ID_HEVC;
    decoder->own_is_last = codec->id == AV_CODEC_ID_H264;
    /* That a reference is not there is an error to libavcodec. */
    if (codec->id == AV_CODEC_ID_H264)
        decoder->listen = inexact ? LISTEN_BLOCKS : LISTEN_ALL;
    context->opaque = decoder;
    context->get_buffer2 = reelcore_get_buffer;
    context->get_format = choose_format;
#if LIBAVCODEC_VERSION_MAJOR < 60
    /* Later versions take this for granted. */
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wdeprecated-declarations"
    context->thread_safe_callbacks = 1;
#pragma GCC diagnostic pop
#endif
    /* Film grain of H.274 is for the display, as with every other decoder. */
    context->export_side_data |= AV_CODEC_EXPORT_DATA_FILM_GRAIN;
    context->thread_count = threads;
    context->thread_type = low_delay ? FF_THREAD_SLICE : FF_THREAD_FRAME | FF_THREAD_SLICE;
    if (low_delay)
        context->flags |= AV_CODEC_FLAG_LOW_DELAY;
    /* Damage is to be seen, not hidden: damaged frames come out with a mark, by which they are refused. Concealment
     * cannot be off, as without it the H.264 decoder does not keep account of slices; it is to be quick, and is told
     * in a message. */
    context->error_concealment = FF_EC_FAVOR_INTER;
    context->flags |= AV_CODEC_FLAG_OUTPUT_CORRUPT;
    if (!inexact)
        context->err_recognition = AV_EF_CRCCHECK | AV_EF_BITSTREAM | AV_EF_EXPLODE;
    if (!inexact && codec->id == AV_CODEC_ID_H264)
        /* Data is left over at the end of a picture. */
        context->err_recognition |= AV_EF_AGGRESSIVE;
    /* Without it, the H.264 decoder guesses the reordering of streams that do not state it, and loses frames. */
    if (strict)
        context->strict_std_compliance = FF_COMPLIANCE_STRICT;
    /* The caller makes the visible rectangle of the cropping: libavcodec's own is not exact on the left. */
    context->apply_cropping = 0;
    context->max_pixels = max_pixels;
    context->log_level_offset = LOG_LEVEL_OFFSET;
    reelcore_watch_slices(decoder);
    error = avcodec_open2(context, codec, NULL);
    if (error < 0)
        goto fail;
    reelcore_watch_slices(decoder);
    if (decoder->listen) {
        reelcore_listen();
        error = NOT_HEARD;
        if (!reelcore_is_heard(decoder))
            goto fail;
    }
    *out = decoder;
    return 0;
fail:
    reelcore_avcodec_free(decoder);
    return error;
}

/* 0: taken; 1: frames must be received first; negative: an error. */
int reelcore_avcodec_send(Decoder *decoder, const Piece *pieces, size_t count, int64_t index) {
    size_t len = 0;
    int error;
    for (size_t at = 0; at < count; at++) {
        if (pieces[at].len > INT_MAX - AV_INPUT_BUFFER_PADDING_SIZE - len)
            return AVERROR(EINVAL);
        len += pieces[at].len;
    }
    /* A copy: libavcodec reads past the end of a packet, and wants zeros there. */
    error = av_new_packet(decoder->packet, (int)len);
    if (error < 0)
        return error;
    len = 0;
    for (size_t at = 0; at < count; at++) {
        memcpy(decoder->packet->data + len, pieces[at].data, pieces[at].len);
        len += pieces[at].len;
    }
    decoder->packet->pts = index;
    error = avcodec_send_packet(decoder->context, decoder->packet);
    av_packet_unref(decoder->packet);
    return error == AVERROR(EAGAIN) ? 1 : error;
}

/* Says that pictures from the next packet on may consist of fields. */
void reelcore_avcodec_expect_fields(Decoder *decoder) { atomic_store(&decoder->has_fields, 1); }

/* Announces the end, after which the frames that are left can be received. */
int reelcore_avcodec_end(Decoder *decoder) {
    int error = avcodec_send_packet(decoder->context, NULL);
    return error == AVERROR_EOF ? 0 : error;
}

/* 0: a frame; 1: none until more is sent; 2: none is left; negative: an error. */
int reelcore_avcodec_receive(Decoder *decoder, AVFrame **out) {
    int error;
    *out = av_frame_alloc();
    if (!*out)
        return AVERROR(ENOMEM);
    error = avcodec_receive_frame(decoder->context, *out);
    if (error < 0)
        av_frame_free(out);
    return error == AVERROR(EAGAIN) ? 1 : error == AVERROR_EOF ? 2 : error;
}

void reelcore_avcodec_reset(Decoder *decoder) {
    avcodec_flush_buffers(decoder->context);
    reelcore_forget_watched(decoder);
    pthread_mutex_lock(&decoder->lock);
    atomic_store(&decoder->complained, 0);
    pthread_mutex_unlock(&decoder->lock);
}

void reelcore_avcodec_frame_info(const AVFrame *frame, FrameInfo *info) {
    memset(info, 0, sizeof(*info));
    info->format = av_get_pix_fmt_name(frame->format);
    info->width = frame->width;
    info->height = frame->height;
    info->crop_left = (int64_t)frame->crop_left;
    info->crop_top = (int64_t)frame->crop_top;
    info->crop_right = (int64_t)frame->crop_right;
    info->crop_bottom = (int64_t)frame->crop_bottom;
    for (int i = 0; i < 4; i++) {
        info->data[i] = frame->data[i];
        info->linesize[i] = frame->linesize[i];
    }
    info->index = frame->pts;
    info->aspect_num = frame->sample_aspect_ratio.num;
    info->aspect_den = frame->sample_aspect_ratio.den;
    info->primaries = frame->color_primaries;
    info->transfer = frame->color_trc;
    info->matrix = frame->colorspace;
    info->range = frame->color_range;
    info->corrupt = !!(frame->flags & AV_FRAME_FLAG_CORRUPT);
    info->concealed = !!frame->decode_error_flags;
}

void reelcore_avcodec_frame_free(AVFrame *frame) { av_frame_free(&frame); }

int reelcore_avcodec_is_not_heard(int error) { return error == NOT_HEARD; }

int reelcore_avcodec_is_out_of_memory(int error) { return error == AVERROR(ENOMEM); }

int reelcore_avcodec_is_unsupported(int error) {
    return error == AVERROR_PATCHWELCOME || error == AVERROR(ENOSYS) || error == AVERROR_DECODER_NOT_FOUND;
}

void reelcore_avcodec_error(int error, char *text, size_t len) { av_strerror(error, text, len); }
