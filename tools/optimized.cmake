# Codec libraries are optimised in dev builds too, and without assertions: libaom-sys asks for CMake's Debug wherever
# cargo's profile is not release.
set(CMAKE_C_FLAGS_DEBUG_INIT "-O2 -DNDEBUG")
set(CMAKE_CXX_FLAGS_DEBUG_INIT "-O2 -DNDEBUG")
