// Samples in packed rows, one word for each invocation.
@group(0) @binding(5) var<storage, read_write> words: array<u32>;

// Of a sample: components, and bits of each.
override COMPONENTS: u32;
override BITS: u32;
// Two where the samples' second component goes to a plane of its own: U and V are made of the same pixels.
override PLANES: u32;

fn packed(c: vec4<f32>) -> vec4<u32> {
    let value = vec4<f32>(
        dot(params.pack[0], c),
        dot(params.pack[1], c),
        dot(params.pack[2], c),
        dot(params.pack[3], c),
    ) + params.pack_offset;
    return vec4<u32>(clamp(floor(value + 0.5), vec4<f32>(0.0), vec4<f32>(params.scale.z)));
}

@compute @workgroup_size(64)
fn pack(@builtin(global_invocation_id) id: vec3<u32>) {
    if id.x >= params.out.z || id.y >= params.out_size.y {
        return;
    }
    // Samples of a word: a sample has one, two or four components of eight bits, or one of sixteen.
    let samples = 32u / (BITS * COMPONENTS);
    var word = 0u;
    var second = 0u;
    for (var i = 0u; i < samples; i++) {
        let column = min(id.x * samples + i, params.out_size.x - 1u);
        let codes = packed(colour(vec2<f32>(vec2<u32>(column, id.y)) + 0.5));
        for (var component = 0u; component < COMPONENTS; component++) {
            word |= codes[component] << (BITS * (i * COMPONENTS + component));
        }
        if PLANES == 2u {
            second |= codes.y << (BITS * i);
        }
    }
    let at = id.y * params.out.z + id.x;
    words[params.out.w + at] = word;
    if PLANES == 2u {
        words[params.out_size.z + at] = second;
    }
}
