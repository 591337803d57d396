package main

import (
	"encoding/binary"
	"fmt"
)

// fixed is an instruction that is the same wherever it stands.
func fixed(code ...byte) op {
	return func(func(string) int) []byte { return code }
}

// Instructions of x86-64; "Intel 64 and IA-32 Architectures Software
// Developer's Manual", volume 2. A byte such as FF /3 names the opcode and the
// middle field of the ModRM byte behind it.

// A reg is a 64-bit register under its number. Its lower half has a name of its
// own (eax of rax); to write there clears the upper half.
type reg byte

const (
	rax reg = 0
	rdx reg = 2
	rsp reg = 4
	rsi reg = 6
	rdi reg = 7
	r10 reg = 10
)

// push is 6A ib: push a byte, extended to 64 bits with its sign.
func push(imm int8) op { return fixed(0x6A, byte(imm)) }

// movImm is B8+r id, into the lower half; the prefix 41 reaches r8 and up.
func movImm(dst reg, imm int32) op {
	code := binary.LittleEndian.AppendUint32([]byte{0xB8 + byte(dst&7)}, uint32(imm))
	if dst >= 8 {
		code = append([]byte{0x41}, code...)
	}
	return fixed(code...)
}

// movReg is 89 /r; the prefix 48 makes it 64 bits wide. It takes no register
// from r8 up.
func movReg(dst, src reg) op { return fixed(0x48, 0x89, 0xC0|byte(src)<<3|byte(dst)) }

// cmpEAX is 83 /7 ib.
func cmpEAX(imm int8) op { return fixed(0x83, 0xC0|7<<3|byte(rax), byte(imm)) }

// negEAX is F7 /3.
func negEAX() op { return fixed(0xF7, 0xC0|3<<3|byte(rax)) }

// syscall is 0F 05.
func syscall() op { return fixed(0x0F, 0x05) }

func je(label string) op  { return short(0x74, label) }
func jne(label string) op { return short(0x75, label) }
func jg(label string) op  { return short(0x7F, label) }
func jmp(label string) op { return short(0xEB, label) }

// short is a jump with a one-byte distance, counted from its end.
func short(opcode byte, label string) op {
	return func(distance func(string) int) []byte {
		code := []byte{opcode, 0}
		d := distance(label) - len(code)
		if d != int(int8(d)) {
			panic(fmt.Sprintf("label %q is %d bytes away, too far for a short jump", label, d))
		}
		code[1] = byte(d)
		return code
	}
}

// Instructions of arm64; "Arm Architecture Reference Manual for A-profile
// architecture", chapter C6. Each is one little-endian word.

// xreg is a 64-bit register. Number 31 is sp or the zero register, whichever
// the instruction takes there.
type xreg uint32

const (
	x0  xreg = 0
	x1  xreg = 1
	x2  xreg = 2
	x3  xreg = 3
	x8  xreg = 8
	sp  xreg = 31
	xzr xreg = 31
)

func word(w uint32) op { return fixed(binary.LittleEndian.AppendUint32(nil, w)...) }

// mov is MOVZ (immediate), or for a negative number MOVN, which takes the
// complement.
func mov(dst xreg, imm int16) op {
	if imm < 0 {
		return word(0x92800000 | uint32(^imm)<<5 | uint32(dst))
	}
	return word(0xD2800000 | uint32(imm)<<5 | uint32(dst))
}

// movSP is ADD (immediate) of sp and 0: MOV between registers cannot read sp.
func movSP(dst xreg) op { return word(0x91000000 | uint32(sp)<<5 | uint32(dst)) }

// strPush is STR (immediate), pre-indexed: sp moves down 16, its alignment,
// and src is stored there.
func strPush(src xreg) op {
	const down = -16 & 0x1FF // nine bits, signed
	return word(0xF8000C00 | down<<12 | uint32(sp)<<5 | uint32(src))
}

// cmp is SUBS (immediate) into the zero register, cmn is ADDS; imm has twelve
// bits.
func cmp(a xreg, imm uint32) op { return word(0xF1000000 | imm<<10 | uint32(a)<<5 | uint32(xzr)) }
func cmn(a xreg, imm uint32) op { return word(0xB1000000 | imm<<10 | uint32(a)<<5 | uint32(xzr)) }

// neg is SUB (shifted register) of x from zero.
func neg(x xreg) op { return word(0xCB000000 | uint32(x)<<16 | uint32(xzr)<<5 | uint32(x)) }

// svc is SVC #0.
func svc() op { return word(0xD4000001) }

func beq(label string) op { return branch(0x54000000, 5, 19, label) }
func bne(label string) op { return branch(0x54000001, 5, 19, label) }
func bgt(label string) op { return branch(0x5400000C, 5, 19, label) }
func b(label string) op   { return branch(0x14000000, 0, 26, label) }

// branch is B.cond or B: the distance, in words from the instruction itself,
// stands in a signed field of width bits from bit shift up.
func branch(base uint32, shift, width int, label string) op {
	return func(distance func(string) int) []byte {
		words := uint32(distance(label)/4) & (1<<width - 1)
		return binary.LittleEndian.AppendUint32(nil, base|words<<shift)
	}
}
