package failure

// weight is what a mark says about a line in each of its places, in hundredths: inside an excerpt's part, as its
// first line, just before it, as its last line, just after it, and as its second line.
type weight struct {
	mark                                    string
	line, start, before, end, after, second int
}

// weights belong to the marks, in their order; the last three to a line whose shape more than 20 lines of the step
// have, to one whose shape more than 100 have, and to one without any mark. They were fitted on the development half
// of the cases (docs/evaluation.md), held close to values chosen by hand.
var weights = [...]weight{
	{"error word", 44, 92, -8, -6, -30, 7},
	{"error at start", 51, 88, -20, -10, -42, -7},
	{"failed word", 23, 64, 14, -8, -18, 4},
	{"failed shout", 27, 85, -25, -19, -25, 22},
	{"failed count", 24, 50, 14, -3, -14, -23},
	{"nothing failed", -11, -100, -25, 0, 69, 21},
	{"exception", 52, 106, -25, 6, -60, 20},
	{"assertion", 34, 83, -1, 3, -33, 11},
	{"cause", 34, 91, -8, -1, -38, 14},
	{"place", 31, 74, -23, 6, -31, 9},
	{"place at start", 18, 66, -24, 8, -28, 4},
	{"frame", -8, 41, -14, 2, -23, -1},
	{"pointer", 12, 60, -24, 12, -48, -3},
	{"indent", 18, 24, -13, 4, -27, 1},
	{"patch", 17, 23, -23, 1, -29, 9},
	{"numbered", 53, 96, -22, 13, -43, -20},
	{"cross", 58, 89, 24, 1, -50, 17},
	{"fine", -81, -175, 7, -2, 78, -12},
	{"failures follow", 17, 55, 21, -25, -16, -25},
	{"failure head", 52, 99, -23, -2, -50, 18},
	{"test count", -42, -85, 8, 4, 43, 0},
	{"skipped", -28, -55, -15, 4, 46, 0},
	{"dots", -143, -200, 11, 0, 102, -25},
	{"colon", 9, 23, 7, -25, -18, 2},
	{"test named", -3, 21, -2, 5, -2, 3},
	{"progress", -29, -99, 1, -1, 30, 5},
	{"warning", -57, -57, -11, 17, 19, 2},
	{"note", -60, -100, 6, 20, 52, -25},
	{"command", -51, -150, 11, 0, 68, -25},
	{"process", -54, -96, -18, 1, 40, -12},
	{"npm tail", -98, -150, -25, 0, 72, -25},
	{"build ended", -58, -104, 15, 19, 40, -25},
	{"rule", -58, -50, 7, -4, 25, -18},
	{"fold", -100, -200, -2, 0, 92, -25},
	{"path only", -22, 0, -20, 0, 25, -5},
	{"long", 25, -43, 1, -11, 18, -24},
	{"common shape", -17, 5, 2, 1, 0, -3},
	{"very common shape", 13, 6, -4, -1, 4, -3},
	{"no mark", -10, 14, -6, -10, 2, 9},
}

// What a part's place says, in hundredths.
const (
	weightLine  = -21 // each line
	weightFirst = 0   // nothing stands before the part
	weightLast  = 18  // nothing stands after it
)

// weightFromEnd is for a part that starts at most 4, 8, 16, 32, 64, 128, 256, 1000 or more lines before the step's end.
var weightFromEnd = [...]int{-13, 3, 6, 0, 0, -4, -4, -3, -5}
