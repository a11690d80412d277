// Stands for AMD's <aie_api/aie.hpp> on the host: the part of the AIE API that our kernels use, computing the
// bits that an AIE2 core (XDNA1) computes as far as published. A call that is not supported does not compile.
#pragma once

#include "aie_api/detail/accum.hpp"
#include "aie_api/detail/accumulate.hpp"
#include "aie_api/detail/arithmetic.hpp"
#include "aie_api/detail/bfloat16.hpp"
#include "aie_api/detail/bfloat16_limits.hpp"
#include "aie_api/detail/compare.hpp"
#include "aie_api/detail/convert.hpp"
#include "aie_api/detail/elementary.hpp"
#include "aie_api/detail/intrinsics.hpp"
#include "aie_api/detail/iterator.hpp"
#include "aie_api/detail/lookup.hpp"
#include "aie_api/detail/mask.hpp"
#include "aie_api/detail/memory.hpp"
#include "aie_api/detail/mmul.hpp"
#include "aie_api/detail/reduce.hpp"
#include "aie_api/detail/rounding.hpp"
#include "aie_api/detail/shuffle.hpp"
#include "aie_api/detail/vector.hpp"
#include "aie_api/detail/vmac.hpp"
// Last: it defines `restrict`.
#include "aie_api/detail/platform.hpp"
