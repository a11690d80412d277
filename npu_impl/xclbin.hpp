// Reads an xclbin, the container in which a compiled design for the array reaches XRT, and refuses a damaged
// or unfit one before XRT sees it: XRT trusts every length in it.
//
// Layout: xclbin.h of XRT (struct axlf: 456 bytes, then 40 per section; all numbers little-endian). Of the
// sections are read MEM_TOPOLOGY, IP_LAYOUT, CONNECTIVITY, EMBEDDED_METADATA (XML: kernels and their
// arguments) and AIE_PARTITION (columns of the array and the images that configure them).
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace npu_impl {

struct XclbinArgument {
    std::string name;
    bool buffer = false;       // else a scalar
    std::int64_t bytes = 0;    // of the scalar, or of the address of the buffer
    std::int64_t offset = 0;   // within the command that starts the kernel
    std::vector<int> banks{};  // that CONNECTIVITY joins a buffer to; indices into MEM_TOPOLOGY
};

struct XclbinKernel {
    std::string name;
    std::vector<XclbinArgument> arguments;  // by index
};

struct Xclbin {
    std::string uuid;  // 32 hexadecimal digits
    std::vector<std::string> banks;
    std::vector<XclbinKernel> kernels;
    int columns = 0;                                 // of the array
    std::vector<std::span<const std::byte>> images;  // that configure it; inside the bytes that were read
};

// `file` is for messages; `bytes` must outlive the images. Throws datasets::ReadError, naming the section,
// for anything but a whole xclbin for an NPU with at least one kernel.
Xclbin read_xclbin(const std::string& file, std::span<const std::byte> bytes);

// Which of a kernel's arguments take what. `buffers` are those of a launch, in order.
struct KernelArguments {
    int opcode = 0;
    int instructions = 1;
    int instruction_words = 2;
    std::vector<int> buffers;

    bool operator==(const KernelArguments&) const = default;
};

// The kernel of that name, whose arguments are as mapped: a 64-bit opcode, instructions in a buffer, their
// number of 32-bit words, and buffers in one bank of memory. Throws datasets::ReadError, listing the kernels
// that there are, or naming the argument that is otherwise.
const XclbinKernel& find_kernel(const Xclbin& xclbin, const std::string& file, std::string_view kernel,
                                const KernelArguments& arguments);

}  // namespace npu_impl
