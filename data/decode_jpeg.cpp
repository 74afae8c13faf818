// JPEG with libjpeg-turbo. The library reports errors by a call that must not return: it jumps back
// to where decoding began, over frames of C alone.
#include <csetjmp>
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <vector>

#include "data/codecs.h"

// After <cstdio>, which they need and do not include.
#include <jerror.h>
#include <jpeglib.h>

namespace ab {

namespace {

// Encoders write about ten scans; thousands in a small file are an attack on the reader's time.
constexpr int kMaxScans = 100;

class JpegDecoder {
 public:
  JpegDecoder(std::span<const uint8_t> bytes, Image& image) : bytes_(bytes), image_(image) {
    info_.err = jpeg_std_error(&errors_);
    errors_.error_exit = on_error;
    errors_.emit_message = on_message;
    progress_.progress_monitor = on_progress;
    info_.client_data = this;
  }
  ~JpegDecoder() { jpeg_destroy_decompress(&info_); }
  JpegDecoder(const JpegDecoder&) = delete;

  std::string run() {
    if (setjmp(jump_) == 0) decode();
    return problem_;
  }

 private:
  static JpegDecoder& self(j_common_ptr info) {
    return *static_cast<JpegDecoder*>(info->client_data);
  }
  [[noreturn]] void stop(const char* problem) {
    std::snprintf(problem_, sizeof problem_, "%s", problem);
    std::longjmp(jump_, 1);
  }
  [[noreturn]] static void on_error(j_common_ptr info) {
    char text[JMSG_LENGTH_MAX];
    info->err->format_message(info, text);
    char problem[sizeof text + 32];
    std::snprintf(problem, sizeof problem, "cannot be decoded: %s", text);
    self(info).stop(problem);
  }
  // Warnings (-1) stand for pixels made up by the library, or for harmless oddities; two are
  // refused.
  static void on_message(j_common_ptr info, int level) {
    if (level >= 0) return;
    if (info->err->msg_code == JWRN_JPEG_EOF) self(info).stop("JPEG is cut short: no end marker");
    if (info->err->msg_code == JWRN_HUFF_BAD_CODE)
      self(info).stop("cannot be decoded: a code that the JPEG's Huffman table does not hold");
  }
  static void on_progress(j_common_ptr info) {
    if (reinterpret_cast<j_decompress_ptr>(info)->input_scan_number > kMaxScans)
      self(info).stop("cannot be decoded: a JPEG of more than 100 scans");
  }

  // No object that needs a destructor may live in a frame that stop() jumps over.
  void decode() {
    jpeg_create_decompress(&info_);
    info_.progress = &progress_;
    jpeg_mem_src(&info_, bytes_.data(), bytes_.size());
    jpeg_read_header(&info_, TRUE);
    if (!size_fits()) return;
    read_pixels();
    jpeg_finish_decompress(&info_);  // reads on to the end marker
  }

  bool size_fits() {
    const std::string problem = size_problem(info_.image_width, info_.image_height, bytes_.size());
    std::snprintf(problem_, sizeof problem_, "%s", problem.c_str());
    return problem.empty();
  }

  void read_pixels() {
    const bool cmyk = info_.num_components == 4;
    info_.out_color_space = cmyk ? JCS_CMYK : JCS_RGB;
    jpeg_start_decompress(&info_);
    const size_t width = info_.output_width, height = info_.output_height;
    image_ = Image{static_cast<int>(height), static_cast<int>(width), 3, std::move(image_.pixels)};
    image_.pixels.resize(3 * width * height);
    if (cmyk) inks_.resize(4 * width);
    while (info_.output_scanline < height) {
      JSAMPROW pixels = &image_.pixels[3 * width * info_.output_scanline];
      JSAMPROW row = cmyk ? inks_.data() : pixels;
      if (jpeg_read_scanlines(&info_, &row, 1) == 1 && cmyk) inks_to_rgb(pixels, width);
    }
  }

  // R = C K / 255 and so on, rounded: inks as Adobe stores them, inverted.
  void inks_to_rgb(JSAMPROW pixels, size_t width) const {
    for (size_t x = 0; x < width; ++x)
      for (size_t c = 0; c < 3; ++c)
        pixels[3 * x + c] = static_cast<JSAMPLE>((inks_[4 * x + c] * inks_[4 * x + 3] + 127) / 255);
  }

  std::span<const uint8_t> bytes_;
  Image& image_;
  std::vector<JSAMPLE> inks_;
  jpeg_decompress_struct info_{};
  jpeg_error_mgr errors_{};
  jpeg_progress_mgr progress_{};
  std::jmp_buf jump_{};
  char problem_[2 * JMSG_LENGTH_MAX] = "";
};

}  // namespace

std::string decode_jpeg(std::span<const uint8_t> bytes, Image& image) {
  return JpegDecoder(bytes, image).run();
}

}  // namespace ab
