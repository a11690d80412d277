// The picture of an op's error, for a terminal and as SVG.
#pragma once

#include <string>

#include "harness/error_picture.hpp"

namespace reports {

// Heat maps of the heads that err beyond their bound (where none does, of the one that comes nearest), worst
// rows, histogram of |error| / bound, signed error against magnitude. With `color`, two cells share a
// character (half blocks); else a cell is a letter. Maps wider than a terminal show the largest of
// neighbouring cells.
std::string terminal_picture(const harness::ErrorPicture& picture, bool color);

// Every cell of every head as a rectangle, its figure as the tooltip.
std::string svg_picture(const harness::ErrorPicture& picture);

}  // namespace reports
