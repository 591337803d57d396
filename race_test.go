//go:build race

package dockpod_test

// raceDetector tells that it is at work, which makes long histories ten times
// as long.
const raceDetector = true
