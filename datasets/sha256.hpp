// SHA-256 (FIPS 180-4), by OpenSSL: the identity of a tensor, of a recording and of a file.
#pragma once

#include <cstddef>
#include <memory>
#include <span>
#include <string>
#include <string_view>

namespace datasets {

// Takes any number of pieces. Throws std::runtime_error if OpenSSL fails.
class Sha256 {
public:
    Sha256();
    ~Sha256();
    Sha256(Sha256&&) noexcept;
    Sha256& operator=(Sha256&&) noexcept;

    void update(std::span<const std::byte> bytes);
    void update(std::string_view text) { update(std::as_bytes(std::span(text))); }

    // 64 lower-case hexadecimal digits over all pieces. Ends the computation: call it once, last.
    [[nodiscard]] std::string finish();

private:
    struct State;
    std::unique_ptr<State> state_;
};

// Of one piece.
[[nodiscard]] std::string sha256_hex(std::span<const std::byte> bytes);

// Of all bytes of a file. Throws ReadError where they cannot be read.
[[nodiscard]] std::string sha256_of_file(const std::string& file);

}  // namespace datasets
