#ifndef EQUIPOISE_LAUNCHER_CHART_PNG_H_
#define EQUIPOISE_LAUNCHER_CHART_PNG_H_

#include <cstdint>
#include <span>
#include <string>
#include <vector>

namespace equipoise::launcher {

struct Colour {
  uint8_t red = 0;
  uint8_t green = 0;
  uint8_t blue = 0;
};

// A picture of `width` columns with a byte a pixel, an index into `palette`, as a PNG file (ISO/IEC
// 15948; indexed colour, 8 bits, no interlace). REQUIRES: pixels are whole rows, at least one; each
// is less than the palette's size, which is 1 to 256.
std::string EncodePng(std::span<const uint8_t> pixels, int width,
                      const std::vector<Colour>& palette);

// "data:image/png;base64,...", for an <image>.
std::string PngDataUri(const std::string& png);

}  // namespace equipoise::launcher

#endif  // EQUIPOISE_LAUNCHER_CHART_PNG_H_
