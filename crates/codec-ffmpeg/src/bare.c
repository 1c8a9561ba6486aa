/* libavcodec by itself, for benchmarks: as its documentation has it, with nothing of ours around it. */
#include "shim.h"

#include <string.h>

/* Receives what is there; gives the number of frames, or an error. */
static int64_t take(AVCodecContext *context, AVFrame *frame) {
    int64_t frames = 0;
    for (;; frames++) {
        int error = avcodec_receive_frame(context, frame);
        if (error == AVERROR(EAGAIN) || error == AVERROR_EOF)
            return frames;
        if (error < 0)
            return error;
        av_frame_unref(frame);
    }
}

/* Decodes all packets; gives the number of frames, or an error. */
int64_t reelcore_avcodec_bare(const char *name, const Piece *packets, size_t count, int threads) {
    const AVCodec *codec = avcodec_find_decoder_by_name(name);
    AVCodecContext *context = codec ? avcodec_alloc_context3(codec) : NULL;
    AVPacket *packet = av_packet_alloc();
    AVFrame *frame = av_frame_alloc();
    int64_t frames = 0, more = AVERROR(ENOMEM);
    if (!context || !packet || !frame)
        goto end;
    context->thread_count = threads;
    more = avcodec_open2(context, codec, NULL);
    for (size_t at = 0; more >= 0 && at <= count; at++) {
        int last = at == count;
        if (!last) {
            more = av_new_packet(packet, (int)packets[at].len);
            if (more < 0)
                break;
            memcpy(packet->data, packets[at].data, packets[at].len);
        }
        more = avcodec_send_packet(context, last ? NULL : packet);
        av_packet_unref(packet);
        if (more >= 0)
            more = take(context, frame);
        if (more > 0)
            frames += more;
    }
end:
    av_frame_free(&frame);
    av_packet_free(&packet);
    avcodec_free_context(&context);
    return more < 0 ? more : frames;
}
