// Folders of artefacts: what is written reads back, and everything in them that cannot be used is refused
// with file, reason and mend.
#include "npu_impl/artefacts.hpp"

#include <gmock/gmock.h>

#include <filesystem>
#include <fstream>

#include "datasets/recording.hpp"
#include "datasets/sha256.hpp"
#include "npu_impl/launch_catalogue.hpp"
#include "npu_impl/xrt_emulation/artefact_writer.hpp"
#include "npu_impl/xrt_emulation/xclbin_writer.hpp"

namespace npu_impl {
namespace {

using datasets::ReadError;
using ::testing::AllOf;
using ::testing::HasSubstr;
using ::testing::ThrowsMessage;

class ArtefactsTest : public ::testing::Test {
protected:
    ArtefactsTest() {
        std::string name = (std::filesystem::temp_directory_path() / "artefacts_XXXXXX").string();
        folder_ = mkdtemp(name.data());
        xrt_emulation::write_artefacts_for(folder_, planned_launches(*find_design("unfused"), {64, 1}));
        artefacts_ = read_artefacts(folder_);
    }
    ~ArtefactsTest() override { std::filesystem::remove_all(folder_); }

    [[nodiscard]] std::string path(const std::string& file) const { return folder_ + "/" + file; }

    void write(const std::string& file, std::string_view text) const {
        std::ofstream(path(file), std::ios::binary) << text;
    }

    [[nodiscard]] std::string list() const {
        const std::vector<std::byte> bytes = read_file(path(std::string(artefact_list)));
        return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
    }

    // The list with the first `from` changed is refused, naming `reason`.
    void expect_refused(const std::string& from, const std::string& to, const std::string& reason) const {
        std::string text = list();
        const std::size_t at = text.find(from);
        ASSERT_NE(at, std::string::npos) << from;
        write(std::string(artefact_list), text.replace(at, from.size(), to));
        EXPECT_THAT([&] { read_artefacts(folder_); },
                    ThrowsMessage<ReadError>(AllOf(HasSubstr("artefacts.json"), HasSubstr(reason))));
        write_artefacts(folder_, artefacts_);
    }

    std::string folder_;
    std::vector<Artefact> artefacts_;
};

TEST_F(ArtefactsTest, ReadBackAsWritten) {
    ASSERT_GE(artefacts_.size(), 3U);
    Artefact described = artefacts_.front();
    described.name = "row softmax of 1024";
    described.program.clear();
    described.limits = {"rows of 1024 elements: serves no softmax over 1500 keys", "one core"};
    artefacts_.push_back(described);
    write_artefacts(folder_, artefacts_);
    EXPECT_EQ(read_artefacts(folder_), artefacts_);
    for (const Artefact& artefact : artefacts_) {
        EXPECT_FALSE(load_artefact(folder_, artefact).instructions.empty());
    }
}

TEST_F(ArtefactsTest, OfKnownProgramsAreNotWrittenTwice) {
    xrt_emulation::write_artefacts_for(folder_, planned_launches(*find_design("unfused"), {64, 1}));
    EXPECT_EQ(read_artefacts(folder_), artefacts_);
}

TEST_F(ArtefactsTest, ListsThatAreWrongAreRefused) {
    EXPECT_THAT([] { read_artefacts("/nowhere"); },
                ThrowsMessage<ReadError>(
                    AllOf(HasSubstr("/nowhere/artefacts.json"), HasSubstr("harness artefact add"))));
    expect_refused("{", "[", "is no JSON");
    expect_refused("npu-artefacts", "other", "schema");
    expect_refused("\"tile\"", "\"tiles\"", "has no field tile");
    expect_refused("\"limits\"", "\"extra\": 1, \"limits\"", "unknown field extra");
    expect_refused("\"cores\": 16", "\"cores\": \"16\"", "cores is of the wrong kind");
    expect_refused("\"opcode\": 0", "\"opcode\": 1", "two are the same");
    expect_refused(artefacts_[0].xclbin, "../" + artefacts_[0].xclbin, "not the name of a file");
    expect_refused(artefacts_[0].xclbin_sha256, "abc", "is no SHA-256");
    expect_refused(artefacts_[1].name, artefacts_[0].name, "is there twice");
    expect_refused(artefacts_[1].program, artefacts_[0].program, "serves the program of another");
}

TEST_F(ArtefactsTest, FilesThatAreNotWhatTheListSaysAreRefused) {
    const Artefact first = artefacts_.front();
    const auto loading = [&](const Artefact& artefact) {
        return [this, artefact] { load_artefact(folder_, artefact); };
    };
    Artefact absent = first;
    absent.xclbin = "absent.xclbin";
    EXPECT_THAT(loading(absent),
                ThrowsMessage<ReadError>(AllOf(HasSubstr("absent.xclbin"), HasSubstr("No such file"))));
    Artefact other = first;
    other.kernel = "DPU";
    EXPECT_THAT(loading(other), ThrowsMessage<ReadError>(HasSubstr("it has: MLIR_AIE")));

    const std::string words("12345", 5);
    write("odd.bin", words);
    Artefact odd = first;
    odd.instructions = "odd.bin";
    odd.instructions_sha256 = datasets::sha256_hex(std::as_bytes(std::span(words)));
    EXPECT_THAT(loading(odd), ThrowsMessage<ReadError>(AllOf(HasSubstr("odd.bin"), HasSubstr("5 bytes"))));

    write(first.instructions, "changed");
    EXPECT_THAT(loading(first),
                ThrowsMessage<ReadError>(AllOf(HasSubstr(first.instructions), HasSubstr("it was changed"))));
    write(first.xclbin, "changed");
    EXPECT_THAT(loading(first),
                ThrowsMessage<ReadError>(AllOf(HasSubstr(first.xclbin), HasSubstr("it was changed"))));
}

}  // namespace
}  // namespace npu_impl
