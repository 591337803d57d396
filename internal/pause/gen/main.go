// Command gen assembles the pause program for every architecture and writes
// each to its file in the current directory. It needs nothing but Go, and the
// bytes it writes depend on nothing but its own source, so that
//
//	cd internal/pause && go generate && git diff --exit-code
//
// proves that the binaries in the tree are the ones that tables.go spells out.
// There stands the program; encode.go knows the instructions it uses, and this
// file wraps the result in an ELF header.
package main

import (
	"bytes"
	"debug/elf"
	"encoding/binary"
	"fmt"
	"log"
	"os"
)

func main() {
	log.SetFlags(0)
	for _, arch := range []string{"amd64", "arm64"} {
		if err := os.WriteFile("pause-"+arch, build(arch), 0o755); err != nil {
			log.Fatal(err)
		}
	}
}

// build returns the executable for arch, a GOARCH.
func build(arch string) []byte {
	switch arch {
	case "amd64":
		return executable(elf.EM_X86_64, assemble(amd64))
	case "arm64":
		return executable(elf.EM_AARCH64, assemble(arm64))
	}
	panic(fmt.Sprintf("no program for architecture %q", arch))
}

// A line of a program is one instruction, and a name for its place if it needs
// one.
type line struct {
	label string
	op    op
}

// An op returns the bytes of one instruction. A jump asks distance how many
// bytes lie between the start of the instruction and a label; the number of
// bytes it returns must not depend on the answer.
type op func(distance func(label string) int) []byte

// assemble goes over the lines twice: once to learn where the labels are, once
// to write the instructions.
func assemble(lines []line) []byte {
	labels := map[string]int{}
	size := 0
	for _, l := range lines {
		if l.label != "" {
			if _, ok := labels[l.label]; ok {
				panic(fmt.Sprintf("label %q stands twice", l.label))
			}
			labels[l.label] = size
		}
		size += len(l.op(func(string) int { return 0 }))
	}

	var code []byte
	for _, l := range lines {
		code = append(code, l.op(func(label string) int {
			at, ok := labels[label]
			if !ok {
				panic(fmt.Sprintf("no label %q", label))
			}
			return at - len(code)
		})...)
	}
	return code
}

const (
	// loadAddress is where linkers put programs that do not move.
	loadAddress = 0x400000

	// pageSize is the largest page of any kernel the program may meet: arm64
	// has 4, 16 and 64 KiB.
	pageSize = 0x10000
)

// executable puts code behind an ELF header. One segment, readable and
// executable, holds the whole file; nothing is writable but the stack, which
// PT_GNU_STACK keeps from being executable. There are no sections and no
// symbols: the kernel reads neither.
func executable(machine elf.Machine, code []byte) []byte {
	const (
		headerSize  = 64 // of elf.Header64
		segmentSize = 56 // of elf.Prog64
		segments    = 2
		codeOffset  = headerSize + segments*segmentSize
	)
	size := uint64(codeOffset + len(code))

	header := elf.Header64{
		Type:      uint16(elf.ET_EXEC),
		Machine:   uint16(machine),
		Version:   uint32(elf.EV_CURRENT),
		Entry:     loadAddress + codeOffset,
		Phoff:     headerSize,
		Ehsize:    headerSize,
		Phentsize: segmentSize,
		Phnum:     segments,
	}
	copy(header.Ident[:], elf.ELFMAG)
	header.Ident[elf.EI_CLASS] = byte(elf.ELFCLASS64)
	header.Ident[elf.EI_DATA] = byte(elf.ELFDATA2LSB)
	header.Ident[elf.EI_VERSION] = byte(elf.EV_CURRENT)

	var file bytes.Buffer
	for _, part := range []any{
		header,
		elf.Prog64{
			Type:   uint32(elf.PT_LOAD),
			Flags:  uint32(elf.PF_R | elf.PF_X),
			Vaddr:  loadAddress,
			Paddr:  loadAddress,
			Filesz: size,
			Memsz:  size,
			Align:  pageSize,
		},
		elf.Prog64{
			Type:  uint32(elf.PT_GNU_STACK),
			Flags: uint32(elf.PF_R | elf.PF_W),
			Align: 16,
		},
		code,
	} {
		if err := binary.Write(&file, binary.LittleEndian, part); err != nil {
			panic(err) // fixed-size values into memory: cannot fail
		}
	}
	return file.Bytes()
}
