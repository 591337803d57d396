package pause_test

import (
	"bytes"
	"crypto/sha256"
	"debug/elf"
	"fmt"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/dockpod/dockpod/internal/pause"
)

func TestProgram(t *testing.T) {
	for _, tt := range []struct {
		arch    string
		machine elf.Machine // EM_NONE: no program
	}{
		{"amd64", elf.EM_X86_64},
		{"x86_64", elf.EM_X86_64},
		{"arm64", elf.EM_AARCH64},
		{"aarch64", elf.EM_AARCH64},
		{"riscv64", elf.EM_NONE},
		{"AMD64", elf.EM_NONE},
		{"", elf.EM_NONE},
	} {
		t.Run(tt.arch, func(t *testing.T) {
			program, ok := pause.Program(tt.arch)
			if want := tt.machine != elf.EM_NONE; ok != want {
				t.Fatalf("Program found: %v, want %v", ok, want)
			}
			if !ok {
				if digest := pause.Digest(tt.arch); digest != "" {
					t.Errorf("Digest = %q, want none", digest)
				}
				return
			}
			if got, want := pause.Digest(tt.arch), fmt.Sprintf("%x", sha256.Sum256(program)); got != want {
				t.Errorf("Digest = %q, want %q", got, want)
			}

			f, err := elf.NewFile(bytes.NewReader(program))
			if err != nil {
				t.Fatal(err)
			}
			if f.Class != elf.ELFCLASS64 || f.Data != elf.ELFDATA2LSB || f.Type != elf.ET_EXEC || f.Machine != tt.machine {
				t.Errorf("program is %v %v %v %v, want a 64-bit little-endian executable for %v", f.Class, f.Data, f.Type, f.Machine, tt.machine)
			}
			// The whole file is mapped once, for reading and executing; nothing is
			// mapped for writing and executing.
			const base, headers = 0x400000, 64 + 2*56
			size := uint64(len(program))
			want := []elf.ProgHeader{
				{Type: elf.PT_LOAD, Flags: elf.PF_R | elf.PF_X, Vaddr: base, Paddr: base, Filesz: size, Memsz: size, Align: 1 << 16},
				{Type: elf.PT_GNU_STACK, Flags: elf.PF_R | elf.PF_W, Align: 16},
			}
			var got []elf.ProgHeader
			for _, p := range f.Progs {
				got = append(got, p.ProgHeader)
			}
			if diff := cmp.Diff(want, got); diff != "" {
				t.Errorf("segments mismatch (-want +got):\n%s", diff)
			}
			if want := uint64(base + headers); f.Entry != want {
				t.Errorf("entry = %#x, want %#x, the first byte of the code", f.Entry, want)
			}
		})
	}
}

func TestProgramIsACopy(t *testing.T) {
	first, _ := pause.Program("amd64")
	clear(first)
	second, _ := pause.Program("amd64")
	if bytes.Equal(first, second) {
		t.Error("a change to the returned program changed the next one")
	}
}
