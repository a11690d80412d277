// The picture of an op's error, for a terminal and as SVG.
#pragma once

#include <string>

#include "harness/error_picture.hpp"

namespace reports {

// Heat maps of the heads that err beyond their bound (where none does, of the one that comes nearest), worst
// rows, histograms of |error| / bound and, where an error was predicted, of z beside a normal distribution,
// signed error against magnitude. With `color`, two cells share a character (half blocks); else a cell is a
// letter. Maps wider than a terminal show the largest of neighbouring cells.
std::string terminal_picture(const harness::ErrorPicture& picture, bool color);

// Every cell of every head as a rectangle, its figure as the tooltip; below them the histograms, of which the
// bars beyond the bound stand out, and those of z where a normal distribution would have none.
std::string svg_picture(const harness::ErrorPicture& picture);

}  // namespace reports
