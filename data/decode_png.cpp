// PNG with libpng, errors as in decode_jpeg.cpp.
#include <png.h>

#include <csetjmp>
#include <cstdint>
#include <cstdio>
#include <cstring>
#include <vector>

#include "data/codecs.h"

namespace ab {

namespace {

class PngDecoder {
 public:
  PngDecoder(std::span<const uint8_t> bytes, Image& image) : left_(bytes), image_(image) {}
  ~PngDecoder() { png_destroy_read_struct(&png_, &info_, nullptr); }
  PngDecoder(const PngDecoder&) = delete;

  std::string run() {
    png_ = png_create_read_struct(PNG_LIBPNG_VER_STRING, this, on_error, on_warning);
    if (png_) info_ = png_create_info_struct(png_);
    if (!info_) return "cannot be decoded: libpng does not start";
    if (setjmp(jump_) == 0) decode();
    return problem_;
  }

 private:
  [[noreturn]] void stop(const char* problem) {
    std::snprintf(problem_, sizeof problem_, "%s", problem);
    std::longjmp(jump_, 1);
  }
  [[noreturn]] static void on_error(png_structp png, png_const_charp text) {
    char problem[200];
    std::snprintf(problem, sizeof problem, "cannot be decoded: %s", text);
    static_cast<PngDecoder*>(png_get_error_ptr(png))->stop(problem);
  }
  static void on_warning(png_structp, png_const_charp) {}
  static void on_read(png_structp png, png_bytep to, size_t count) {
    PngDecoder& self = *static_cast<PngDecoder*>(png_get_io_ptr(png));
    if (count > self.left_.size()) self.stop("PNG is cut short: a chunk does not fit the file");
    std::memcpy(to, self.left_.data(), count);
    self.left_ = self.left_.subspan(count);
  }

  bool size_fits(size_t width, size_t height, size_t bytes) {
    const std::string problem =
        size_problem(static_cast<int64_t>(width), static_cast<int64_t>(height), bytes);
    std::snprintf(problem_, sizeof problem_, "%s", problem.c_str());
    return problem.empty();
  }

  // No object that needs a destructor may live in a frame that stop() jumps over.
  void decode() {
    const size_t bytes = left_.size();
    png_set_read_fn(png_, this, on_read);
    png_set_keep_unknown_chunks(png_, PNG_HANDLE_CHUNK_NEVER, nullptr, -1);  // colours alone matter
    png_read_info(png_, info_);
    const size_t width = png_get_image_width(png_, info_);
    const size_t height = png_get_image_height(png_, info_);
    if (!size_fits(width, height, bytes)) return;
    png_set_expand(png_);  // palettes, fewer than 8 bits, transparent colours
    png_set_strip_16(png_);
    png_set_strip_alpha(png_);
    png_set_gray_to_rgb(png_);
    png_set_interlace_handling(png_);
    png_read_update_info(png_, info_);
    if (png_get_rowbytes(png_, info_) != 3 * width) stop("cannot be decoded: not three channels");
    image_ = Image{static_cast<int>(height), static_cast<int>(width), 3, std::move(image_.pixels)};
    image_.pixels.resize(3 * width * height);
    for (size_t y = 0; y < height; ++y) rows_.push_back(&image_.pixels[3 * width * y]);
    png_read_image(png_, rows_.data());
    png_read_end(png_, nullptr);
  }

  std::span<const uint8_t> left_;
  Image& image_;
  std::vector<png_bytep> rows_;
  png_structp png_ = nullptr;
  png_infop info_ = nullptr;
  std::jmp_buf jump_{};
  char problem_[256] = "";
};

}  // namespace

std::string decode_png(std::span<const uint8_t> bytes, Image& image) {
  return PngDecoder(bytes, image).run();
}

}  // namespace ab
