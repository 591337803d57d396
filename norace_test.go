//go:build !race

package dockpod_test

const raceDetector = false
