// stb_image's one compiled copy (a public-domain header); decode.cpp is its only user. On its own,
// so that what the sanitizers are told to overlook in it stays checked in our code.
#define STB_IMAGE_IMPLEMENTATION
#define STBI_ONLY_JPEG
#define STBI_ONLY_PNG
#define STBI_NO_STDIO
#define STBI_NO_LINEAR
#define STBI_NO_HDR
#define STBI_NO_FAILURE_STRINGS  // one of them is put together in memory that threads share
#include <stb/stb_image.h>
