package main

import (
	"bytes"
	"testing"

	"github.com/dockpod/dockpod/internal/pause"
)

// The committed programs are those that the tables say.
func TestBuild(t *testing.T) {
	for _, arch := range []string{"amd64", "arm64"} {
		t.Run(arch, func(t *testing.T) {
			committed, ok := pause.Program(arch)
			if !ok {
				t.Fatalf("package pause has no program for %s", arch)
			}
			if built := build(arch); !bytes.Equal(built, committed) {
				t.Errorf("pause-%s is not what the tables say; run go generate in internal/pause\nbuilt     %x\ncommitted %x", arch, built, committed)
			}
		})
	}
}

func TestAssemble(t *testing.T) {
	nop := fixed(0x90)
	for _, tt := range []struct {
		name  string
		lines []line
		want  []byte
	}{
		{"back to itself", []line{{"here", jmp("here")}}, []byte{0xEB, 0xFE}},
		{"back", []line{{"here", nop}, {"", jmp("here")}}, []byte{0x90, 0xEB, 0xFD}},
		{"ahead", []line{{"", jmp("there")}, {"", nop}, {"there", nop}}, []byte{0xEB, 0x01, 0x90, 0x90}},
		{"arm64 to itself", []line{{"here", b("here")}}, []byte{0x00, 0x00, 0x00, 0x14}},
		{"arm64 back", []line{{"here", svc()}, {"", bne("here")}}, []byte{0x01, 0x00, 0x00, 0xD4, 0xE1, 0xFF, 0xFF, 0x54}},
		{"arm64 ahead", []line{{"", beq("there")}, {"there", svc()}}, []byte{0x20, 0x00, 0x00, 0x54, 0x01, 0x00, 0x00, 0xD4}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if got := assemble(tt.lines); !bytes.Equal(got, tt.want) {
				t.Errorf("assembled % x, want % x", got, tt.want)
			}
		})
	}
}

// A slip in a table stops the generator; it never becomes a jump to nowhere.
func TestAssemblePanics(t *testing.T) {
	for _, tt := range []struct {
		name  string
		lines []line
	}{
		{"no such label", []line{{"", jmp("nowhere")}}},
		{"label twice", []line{{"here", syscall()}, {"here", syscall()}}},
		{"too far", []line{{"here", fixed(make([]byte, 127)...)}, {"", jmp("here")}}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			defer func() {
				if recover() == nil {
					t.Error("assembled without a word")
				}
			}()
			assemble(tt.lines)
		})
	}
}
