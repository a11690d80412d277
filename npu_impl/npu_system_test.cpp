// The examination of a machine, on faked trees of one: it finds what stands in the way, names the mend, and
// nothing else.
#include "npu_impl/npu_system.hpp"

#include <gmock/gmock.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <filesystem>
#include <fstream>

#include "npu_impl/xrt_device.hpp"

namespace npu_impl {
namespace {

namespace fs = std::filesystem;
using ::testing::HasSubstr;

constexpr const char* npu = "/sys/bus/pci/drivers/amdxdna/0000:c6:00.1";

// A laptop on which everything is as it should be.
class NpuSystemTest : public ::testing::Test {
protected:
    NpuSystemTest() {
        std::string name = (fs::temp_directory_path() / "system_XXXXXX").string();
        root_ = mkdtemp(name.data());
        write("/proc/sys/kernel/osrelease", "6.17.3-amd64");
        write("/sys/module/amdxdna/version", "2.25.0");
        write(std::string(npu) + "/vbnv", "RyzenAI-npu1 (NPU Phoenix)");
        write(std::string(npu) + "/fw_version", "1.5.5.391");
        write("/dev/accel/accel0", "");
        write("/usr/lib/x86_64-linux-gnu/libxrt_driver_xdna.so.2", "");
        write("/etc/group", "root:x:0:\nrender:x:105:me\n");
        chmod((root_ + "/dev/accel/accel0").c_str(), 0660);
    }
    ~NpuSystemTest() override { fs::remove_all(root_); }

    void write(const std::string& file, std::string_view text) const {
        fs::create_directories(fs::path(root_ + file).parent_path());
        std::ofstream(root_ + file) << text << '\n';
    }

    [[nodiscard]] SystemFinding about(const std::string& subject, const Person& person) const {
        const std::vector<SystemFinding> findings = examine_system(root_, person);
        const auto found = std::ranges::find(findings, subject, &SystemFinding::subject);
        EXPECT_NE(found, findings.end()) << subject;
        return found == findings.end() ? SystemFinding{} : *found;
    }
    [[nodiscard]] SystemFinding about(const std::string& subject) const { return about(subject, owner_); }

    // The subjects of what is bad, XRT's own version aside: it is that of this build.
    [[nodiscard]] std::vector<std::string> bad(const Person& person) const {
        std::vector<std::string> subjects;
        for (const SystemFinding& finding : examine_system(root_, person)) {
            if (finding.kind == SystemFindingKind::bad && finding.subject != "XRT") {
                subjects.push_back(finding.subject);
                EXPECT_FALSE(finding.mend.empty()) << finding.subject;
            }
        }
        return subjects;
    }

    std::string root_;
    Person owner_{getuid() == 0 ? 0 : getuid(), {getgid()}};
};

TEST_F(NpuSystemTest, FindsNothingBadWhereAllIsWell) {
    EXPECT_THAT(bad(owner_), ::testing::IsEmpty());
    EXPECT_THAT(about("kernel").found, HasSubstr("6.17.3"));
    EXPECT_THAT(about("driver").found, HasSubstr("2.25.0"));
    EXPECT_THAT(about("npu").found, HasSubstr("NPU Phoenix"));
    EXPECT_THAT(about("npu").found, HasSubstr("4 columns of 4 cores"));
    EXPECT_THAT(about("firmware").found, HasSubstr("1.5.5.391"));
    EXPECT_EQ(about("locked memory").found, "without a limit");
    const bool modern = xrt_flow() == "hardware contexts";
    EXPECT_EQ(is_usable(examine_system(root_, owner_)), modern);
    EXPECT_EQ(about("XRT").kind, modern ? SystemFindingKind::good : SystemFindingKind::bad);
}

TEST_F(NpuSystemTest, FindsEachThingThatIsMissing) {
    const std::vector<std::pair<std::string, std::vector<std::string>>> removed{
        {"/sys/bus/pci/drivers/amdxdna", {"driver", "npu"}},
        {npu, {"npu"}},
        {std::string(npu) + "/fw_version", {"firmware"}},
        {"/dev/accel", {"device node"}},
        {"/usr/lib/x86_64-linux-gnu", {"XRT's NPU driver"}}};
    for (const auto& [file, subjects] : removed) {
        fs::rename(root_ + file, root_ + "/aside");
        EXPECT_EQ(bad(owner_), subjects) << file;
        fs::rename(root_ + "/aside", root_ + file);
    }
    EXPECT_THAT(bad(owner_), ::testing::IsEmpty());
    write(std::string(npu) + "/fw_version", "0.0.0.0");
    EXPECT_EQ(bad(owner_), std::vector<std::string>{"firmware"});
}

TEST_F(NpuSystemTest, TellsWhoMayUseTheNode) {
    if (getuid() != 0) {
        GTEST_SKIP() << "giving a file to another group takes root";
    }
    ASSERT_EQ(chown((root_ + "/dev/accel/accel0").c_str(), 0, 105), 0);
    const Person member{1000, {1000, 105}};
    const Person stranger{1000, {1000}};
    EXPECT_THAT(bad(member), ::testing::IsEmpty());
    EXPECT_EQ(bad(stranger), std::vector<std::string>{"device node"});
    EXPECT_THAT(about("device node", stranger).found, HasSubstr("group render"));
    EXPECT_THAT(about("device node", stranger).mend, HasSubstr("usermod"));
    chmod((root_ + "/dev/accel/accel0").c_str(), 0666);
    EXPECT_THAT(bad(stranger), ::testing::IsEmpty());
}

TEST_F(NpuSystemTest, TellsWhereLockedMemoryIsShort) {
    Person limited = owner_;
    limited.locked_memory_bytes = 8 << 20;
    EXPECT_EQ(bad(limited), std::vector<std::string>{"locked memory"});
    EXPECT_THAT(about("locked memory", limited).found, HasSubstr("8192 KiB"));
}

TEST_F(NpuSystemTest, ReadsAnEmptyMachine) {
    fs::remove_all(root_);
    fs::create_directories(root_);
    EXPECT_EQ(bad(owner_), (std::vector<std::string>{"driver", "npu", "device node", "XRT's NPU driver"}));
    write("/proc/sys/kernel/osrelease", "nonsense");
    EXPECT_EQ(about("kernel").kind, SystemFindingKind::unknown);
    write("/proc/sys/kernel/osrelease", "6.1.0-37-amd64");
    EXPECT_THAT(about("kernel").mend, HasSubstr("since 6.14"));
}

}  // namespace
}  // namespace npu_impl
