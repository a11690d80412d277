// The AIE API with its operators on the streams and buffers of AMD's ADF graphs. Kernels of the NPU get
// pointers; the graphs are not modelled, so that this is the API alone.
#pragma once

#include "aie_api/aie.hpp"
