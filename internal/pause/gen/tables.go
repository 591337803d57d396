package main

// The pause program, once for each architecture. In C it would be
//
//	sigset_t all = every bit set;
//
//	block:  if ((r = rt_sigprocmask(SIG_SETMASK, &all, NULL, 8)) != 0)
//	                goto fail;
//	reap:   while (wait4(-1, NULL, WNOHANG, NULL) > 0)
//	                ;
//	wait:   r = rt_sigtimedwait(&all, NULL, NULL, 8);
//	        if (r == SIGCHLD)
//	                goto reap;
//	        if (r == SIGTERM || r == SIGINT)
//	                goto quit;
//	        if (r > 0 || r == -EINTR)
//	                goto wait;
//	fail:   exit_group(-r);
//	quit:   exit_group(0);
//
// The package documentation of pause says why.

// Numbers that Linux has in common for both architectures.
const (
	sigSetmask = 2 // SIG_SETMASK
	sigInt     = 2
	sigTerm    = 15
	sigChld    = 17
	sigsetSize = 8 // bytes; the kernel's sigset_t, not the C library's
	wNoHang    = 1
	anyChild   = -1
	eIntr      = 4
	null       = 0
)

// System calls of x86-64: the number goes into eax, arguments into edi, esi,
// edx, r10d. The result comes back in eax, an errno as its negative.
const (
	amd64Sigprocmask  = 14
	amd64Wait4        = 61
	amd64Sigtimedwait = 128
	amd64ExitGroup    = 231
)

var amd64 = []line{
	{"block", push(-1)},                 // push -1             [rsp]: all 64 signals
	{"", movImm(rdi, sigSetmask)},       // mov  edi, SIG_SETMASK
	{"", movReg(rsi, rsp)},              // mov  rsi, rsp
	{"", movImm(rdx, null)},             // mov  edx, NULL
	{"", movImm(r10, sigsetSize)},       // mov  r10d, 8
	{"", movImm(rax, amd64Sigprocmask)}, // mov  eax, rt_sigprocmask
	{"", syscall()},                     // syscall
	{"", cmpEAX(0)},                     // cmp  eax, 0
	{"", jne("fail")},                   // jne  fail

	{"reap", movImm(rdi, anyChild)}, // mov  edi, -1
	{"", movImm(rsi, null)},         // mov  esi, NULL
	{"", movImm(rdx, wNoHang)},      // mov  edx, WNOHANG
	{"", movImm(r10, null)},         // mov  r10d, NULL
	{"", movImm(rax, amd64Wait4)},   // mov  eax, wait4
	{"", syscall()},                 // syscall
	{"", cmpEAX(0)},                 // cmp  eax, 0
	{"", jg("reap")},                // jg   reap           one reaped: there may be more

	{"wait", movReg(rdi, rsp)},           // mov  rdi, rsp
	{"", movImm(rsi, null)},              // mov  esi, NULL
	{"", movImm(rdx, null)},              // mov  edx, NULL      no timeout
	{"", movImm(r10, sigsetSize)},        // mov  r10d, 8
	{"", movImm(rax, amd64Sigtimedwait)}, // mov  eax, rt_sigtimedwait
	{"", syscall()},                      // syscall
	{"", cmpEAX(sigChld)},                // cmp  eax, SIGCHLD
	{"", je("reap")},                     // je   reap
	{"", cmpEAX(sigTerm)},                // cmp  eax, SIGTERM
	{"", je("quit")},                     // je   quit
	{"", cmpEAX(sigInt)},                 // cmp  eax, SIGINT
	{"", je("quit")},                     // je   quit
	{"", cmpEAX(0)},                      // cmp  eax, 0
	{"", jg("wait")},                     // jg   wait           any other signal
	{"", cmpEAX(-eIntr)},                 // cmp  eax, -EINTR
	{"", je("wait")},                     // je   wait           stopped and continued

	{"fail", negEAX()},                    // neg  eax
	{"", movReg(rdi, rax)},                // mov  rdi, rax
	{"", jmp("exit")},                     // jmp  exit
	{"quit", movImm(rdi, 0)},              // mov  edi, 0
	{"exit", movImm(rax, amd64ExitGroup)}, // mov  eax, exit_group
	{"", syscall()},                       // syscall
}

// System calls of arm64: the number goes into x8, arguments into x0 to x3. The
// result comes back in x0, an errno as its negative.
const (
	arm64Sigprocmask  = 135
	arm64Wait4        = 260
	arm64Sigtimedwait = 137
	arm64ExitGroup    = 94
)

var arm64 = []line{
	{"block", mov(x0, -1)},          // mov  x0, #-1
	{"", strPush(x0)},               // str  x0, [sp, #-16]!  [sp]: all 64 signals
	{"", mov(x0, sigSetmask)},       // mov  x0, #SIG_SETMASK
	{"", movSP(x1)},                 // mov  x1, sp
	{"", mov(x2, null)},             // mov  x2, #NULL
	{"", mov(x3, sigsetSize)},       // mov  x3, #8
	{"", mov(x8, arm64Sigprocmask)}, // mov  x8, #rt_sigprocmask
	{"", svc()},                     // svc  #0
	{"", cmp(x0, 0)},                // cmp  x0, #0
	{"", bne("fail")},               // b.ne fail

	{"reap", mov(x0, anyChild)}, // mov  x0, #-1
	{"", mov(x1, null)},         // mov  x1, #NULL
	{"", mov(x2, wNoHang)},      // mov  x2, #WNOHANG
	{"", mov(x3, null)},         // mov  x3, #NULL
	{"", mov(x8, arm64Wait4)},   // mov  x8, #wait4
	{"", svc()},                 // svc  #0
	{"", cmp(x0, 0)},            // cmp  x0, #0
	{"", bgt("reap")},           // b.gt reap             one reaped: there may be more

	{"wait", movSP(x0)},              // mov  x0, sp
	{"", mov(x1, null)},              // mov  x1, #NULL
	{"", mov(x2, null)},              // mov  x2, #NULL        no timeout
	{"", mov(x3, sigsetSize)},        // mov  x3, #8
	{"", mov(x8, arm64Sigtimedwait)}, // mov  x8, #rt_sigtimedwait
	{"", svc()},                      // svc  #0
	{"", cmp(x0, sigChld)},           // cmp  x0, #SIGCHLD
	{"", beq("reap")},                // b.eq reap
	{"", cmp(x0, sigTerm)},           // cmp  x0, #SIGTERM
	{"", beq("quit")},                // b.eq quit
	{"", cmp(x0, sigInt)},            // cmp  x0, #SIGINT
	{"", beq("quit")},                // b.eq quit
	{"", cmp(x0, 0)},                 // cmp  x0, #0
	{"", bgt("wait")},                // b.gt wait             any other signal
	{"", cmn(x0, eIntr)},             // cmn  x0, #EINTR       compares with -EINTR
	{"", beq("wait")},                // b.eq wait             stopped and continued

	{"fail", neg(x0)},                 // neg  x0, x0
	{"", b("exit")},                   // b    exit
	{"quit", mov(x0, 0)},              // mov  x0, #0
	{"exit", mov(x8, arm64ExitGroup)}, // mov  x8, #exit_group
	{"", svc()},                       // svc  #0
}
