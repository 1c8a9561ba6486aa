/* Encoding: what Rust asks of libavcodec, compiled against the installed headers. */
#include <libavcodec/avcodec.h>
#include <libavutil/hwcontext.h>
#include <libavutil/opt.h>
#include <libavutil/pixdesc.h>
#include <stdio.h>
#include <string.h>

#include "shim.h"

/* What an encoder is opened with. */
typedef struct {
    const char *name;
    /* libavutil's name of the kind of device that frames are uploaded to; NULL where the encoder takes memory. */
    const char *device;
    const char *format;
    int width, height;
    int64_t bitrate, max_bitrate, buffer_bits;
    int rate_num, rate_den;
    int threads;
    int primaries, transfer, matrix, range;
    /* Names and values of the encoder's own options, in turns. */
    const char *const *options;
    size_t option_count;
} EncoderOptions;

/* A plane that the frame shares: `release` is called with `owner` once, when nobody reads it any more. */
typedef struct {
    const uint8_t *data;
    size_t len;
    int stride;
    void *owner;
} EncoderPlane;

typedef struct Encoder {
    AVCodecContext *context;
    AVBufferRef *device;
    AVPacket *packet;
} Encoder;

int reelcore_avcodec_has_encoder(const char *name, const char *format) {
    const AVCodec *codec = avcodec_find_encoder_by_name(name);
    enum AVPixelFormat wanted = av_get_pix_fmt(format);
    const enum AVPixelFormat *formats;
    if (!codec || wanted == AV_PIX_FMT_NONE)
        return 0;
#if LIBAVCODEC_VERSION_INT >= AV_VERSION_INT(61, 13, 100)
    {
        const void *list = NULL;
        if (avcodec_get_supported_config(NULL, codec, AV_CODEC_CONFIG_PIX_FORMAT, 0, &list, NULL) < 0)
            return 0;
        formats = list;
    }
#else
    formats = codec->pix_fmts;
#endif
    /* Without a list it takes any. */
    if (!formats)
        return 1;
    for (; *formats != AV_PIX_FMT_NONE; formats++) {
        const AVPixFmtDescriptor *format_of = av_pix_fmt_desc_get(*formats);
        /* Those of devices take what their driver does. */
        if (*formats == wanted || (format_of && (format_of->flags & AV_PIX_FMT_FLAG_HWACCEL)))
            return 1;
    }
    return 0;
}

void reelcore_avcodec_encoder_free(Encoder *encoder) {
    if (!encoder)
        return;
    avcodec_free_context(&encoder->context);
    av_buffer_unref(&encoder->device);
    av_packet_free(&encoder->packet);
    av_free(encoder);
}

/* Opens the device, and the pool of frames that are uploaded to it. */
static int open_device(Encoder *encoder, const EncoderOptions *options, enum AVPixelFormat format) {
    enum AVHWDeviceType type = av_hwdevice_find_type_by_name(options->device);
    AVHWFramesConstraints *constraints;
    AVHWFramesContext *frames;
    AVBufferRef *pool;
    int error;
    if (type == AV_HWDEVICE_TYPE_NONE)
        return AVERROR(ENOSYS);
    error = av_hwdevice_ctx_create(&encoder->device, type, NULL, NULL, 0);
    if (error < 0)
        return error;
    constraints = av_hwdevice_get_hwframe_constraints(encoder->device, NULL);
    if (!constraints || !constraints->valid_hw_formats) {
        av_hwframe_constraints_free(&constraints);
        return AVERROR(ENOSYS);
    }
    encoder->context->pix_fmt = constraints->valid_hw_formats[0];
    av_hwframe_constraints_free(&constraints);
    pool = av_hwframe_ctx_alloc(encoder->device);
    if (!pool)
        return AVERROR(ENOMEM);
    frames = (AVHWFramesContext *)pool->data;
    frames->format = encoder->context->pix_fmt;
    frames->sw_format = format;
    frames->width = options->width;
    frames->height = options->height;
    frames->initial_pool_size = 16;
    error = av_hwframe_ctx_init(pool);
    if (error >= 0)
        encoder->context->hw_frames_ctx = pool;
    else
        av_buffer_unref(&pool);
    return error;
}

int reelcore_avcodec_encoder_create(const EncoderOptions *options, Encoder **out) {
    const AVCodec *codec = avcodec_find_encoder_by_name(options->name);
    enum AVPixelFormat format = av_get_pix_fmt(options->format);
    Encoder *encoder;
    AVCodecContext *context;
    AVDictionary *own = NULL;
    int error = AVERROR(ENOMEM);
    *out = NULL;
    if (!codec)
        return AVERROR_ENCODER_NOT_FOUND;
    encoder = av_mallocz(sizeof(*encoder));
    if (!encoder)
        return error;
    encoder->context = context = avcodec_alloc_context3(codec);
    encoder->packet = av_packet_alloc();
    if (!context || !encoder->packet)
        goto fail;
    context->width = options->width;
    context->height = options->height;
    context->pix_fmt = format;
    context->sample_aspect_ratio = (AVRational){1, 1};
    /* Frames are counted: the caller knows their times. */
    context->time_base = (AVRational){options->rate_den, options->rate_num};
    context->framerate = (AVRational){options->rate_num, options->rate_den};
    context->bit_rate = options->bitrate;
    context->rc_max_rate = options->max_bitrate;
    context->rc_buffer_size = (int)options->buffer_bits;
    context->thread_count = options->threads;
    context->max_b_frames = 0;
    context->flags |= AV_CODEC_FLAG_CLOSED_GOP;
    context->color_primaries = options->primaries;
    context->color_trc = options->transfer;
    context->colorspace = options->matrix;
    context->color_range = options->range;
    /* A level that no callback lets through: that an encoder cannot be opened is told by the code. */
    context->log_level_offset = LOG_LEVEL_OFFSET;
    for (size_t at = 0; at + 1 < options->option_count; at += 2) {
        error = av_dict_set(&own, options->options[at], options->options[at + 1], 0);
        if (error < 0)
            goto fail;
    }
    if (options->device) {
        error = open_device(encoder, options, format);
        if (error < 0)
            goto fail;
    }
    error = avcodec_open2(context, codec, &own);
    if (error < 0)
        goto fail;
    if (av_dict_count(own)) {
        /* An option that it does not know: another version. */
        error = AVERROR_OPTION_NOT_FOUND;
        goto fail;
    }
    *out = encoder;
    return 0;
fail:
    av_dict_free(&own);
    reelcore_avcodec_encoder_free(encoder);
    return error;
}

/* Whose turn the quantizer of a frame is: `offset_num` of `offset_den` parts of the scale, for all of it. */
static int set_offset(AVFrame *frame, int offset_num, int offset_den) {
    AVFrameSideData *data =
        av_frame_new_side_data(frame, AV_FRAME_DATA_REGIONS_OF_INTEREST, sizeof(AVRegionOfInterest));
    AVRegionOfInterest region = {0};
    if (!data)
        return AVERROR(ENOMEM);
    region.self_size = sizeof(region);
    region.bottom = frame->height;
    region.right = frame->width;
    region.qoffset = (AVRational){offset_num, offset_den};
    memcpy(data->data, &region, sizeof(region));
    return 0;
}

/* Sends a frame over `planes`, the owners of which are released in any case. 0: taken; 1: packets must be received
 * first, and the frame is lost; negative: an error. */
int reelcore_avcodec_encoder_send(Encoder *encoder, const char *format, const EncoderPlane *planes, size_t count,
                                  void (*release)(void *, uint8_t *), int64_t index, int key, int offset_num,
                                  int offset_den) {
    AVCodecContext *context = encoder->context;
    AVFrame *frame = av_frame_alloc(), *uploaded = NULL;
    int error = frame ? 0 : AVERROR(ENOMEM);
    for (size_t at = 0; at < count; at++) {
        AVBufferRef *buffer = NULL;
        if (!error && at < AV_NUM_DATA_POINTERS)
            buffer = av_buffer_create((uint8_t *)planes[at].data, planes[at].len, release, planes[at].owner,
                                      AV_BUFFER_FLAG_READONLY);
        if (!buffer) {
            release(planes[at].owner, NULL);
            error = error ? error : AVERROR(ENOMEM);
            continue;
        }
        frame->buf[at] = buffer;
        frame->data[at] = buffer->data;
        frame->linesize[at] = planes[at].stride;
    }
    if (error)
        goto end;
    frame->format = av_get_pix_fmt(format);
    frame->width = context->width;
    frame->height = context->height;
    frame->color_primaries = context->color_primaries;
    frame->color_trc = context->color_trc;
    frame->colorspace = context->colorspace;
    frame->color_range = context->color_range;
    if (context->hw_frames_ctx) {
        uploaded = av_frame_alloc();
        if (!uploaded) {
            error = AVERROR(ENOMEM);
            goto end;
        }
        error = av_hwframe_get_buffer(context->hw_frames_ctx, uploaded, 0);
        if (error >= 0)
            error = av_hwframe_transfer_data(uploaded, frame, 0);
        if (error >= 0)
            error = av_frame_copy_props(uploaded, frame);
        if (error < 0)
            goto end;
        av_frame_free(&frame);
        frame = uploaded;
        uploaded = NULL;
    }
    frame->pts = index;
    frame->pict_type = key ? AV_PICTURE_TYPE_I : AV_PICTURE_TYPE_NONE;
    if (offset_den) {
        error = set_offset(frame, offset_num, offset_den);
        if (error < 0)
            goto end;
    }
    error = avcodec_send_frame(context, frame);
    if (error == AVERROR(EAGAIN))
        error = 1;
end:
    av_frame_free(&frame);
    av_frame_free(&uploaded);
    return error;
}

int reelcore_avcodec_encoder_end(Encoder *encoder) {
    int error = avcodec_send_frame(encoder->context, NULL);
    return error == AVERROR_EOF ? 0 : error;
}

/* 0: a packet, valid until the next call; 1: none until more is sent; 2: none is left; negative: an error. */
int reelcore_avcodec_encoder_receive(Encoder *encoder, const uint8_t **data, size_t *len, int64_t *index, int *key) {
    int error = avcodec_receive_packet(encoder->context, encoder->packet);
    if (error < 0)
        return error == AVERROR(EAGAIN) ? 1 : error == AVERROR_EOF ? 2 : error;
    *data = encoder->packet->data;
    *len = (size_t)encoder->packet->size;
    *index = encoder->packet->pts;
    *key = !!(encoder->packet->flags & AV_PKT_FLAG_KEY);
    return 0;
}
