#ifndef EQUIPOISE_CORE_TENSOR_SHAPE_H_
#define EQUIPOISE_CORE_TENSOR_SHAPE_H_

#include <array>
#include <cstdint>
#include <initializer_list>
#include <ostream>
#include <string>

#include "core/base/check.h"

namespace equipoise {

// Extents of a row-major tensor of up to four dimensions. A value type; extents may be zero.
class Shape {
 public:
  static constexpr int kMaxRank = 4;

  Shape() = default;
  Shape(std::initializer_list<int64_t> extents) {
    EQ_CHECK_LE(extents.size(), static_cast<size_t>(kMaxRank));
    for (const int64_t extent : extents) {
      EQ_CHECK_GE(extent, 0);
      extents_[static_cast<size_t>(rank_++)] = extent;
    }
  }

  int rank() const { return rank_; }
  int64_t operator[](int axis) const {
    EQ_CHECK(axis >= 0 && axis < rank_) << "axis " << axis << " of rank " << rank_;
    return extents_[static_cast<size_t>(axis)];
  }
  int64_t num_elements() const {
    int64_t count = 1;
    for (int axis = 0; axis < rank_; ++axis) count *= extents_[static_cast<size_t>(axis)];
    return count;
  }
  // Elements of one slice along the first axis. REQUIRES: rank() >= 1.
  int64_t row_elements() const {
    EQ_CHECK_GE(rank_, 1);
    int64_t count = 1;
    for (int axis = 1; axis < rank_; ++axis) count *= extents_[static_cast<size_t>(axis)];
    return count;
  }
  // The same shape with another first extent. REQUIRES: rank() >= 1.
  Shape WithRows(int64_t rows) const {
    Shape result = *this;
    EQ_CHECK(rank_ >= 1 && rows >= 0);
    result.extents_[0] = rows;
    return result;
  }
  std::string ToString() const {
    std::string text = "[";
    for (int axis = 0; axis < rank_; ++axis) {
      if (axis > 0) text += ", ";
      text += std::to_string(extents_[static_cast<size_t>(axis)]);
    }
    return text + "]";
  }
  friend bool operator==(const Shape&, const Shape&) = default;
  friend std::ostream& operator<<(std::ostream& out, const Shape& shape) {
    return out << shape.ToString();
  }

 private:
  std::array<int64_t, kMaxRank> extents_ = {0, 0, 0, 0};
  int rank_ = 0;
};

}  // namespace equipoise

#endif  // EQUIPOISE_CORE_TENSOR_SHAPE_H_
