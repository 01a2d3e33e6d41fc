package image

import (
	"bytes"
	"errors"
	"image/jpeg"
)

// JPEG markers, from ISO/IEC 10918-1 table B.1.
const (
	markerSOF0  = 0xc0 // baseline
	markerSOF1  = 0xc1 // extended
	markerSOF2  = 0xc2 // progressive
	markerDHT   = 0xc4
	markerJPG   = 0xc8
	markerDAC   = 0xcc
	markerSOF15 = 0xcf
	markerRST0  = 0xd0
	markerRST7  = 0xd7
	markerEOI   = 0xd9
	markerSOS   = 0xda
	markerDQT   = 0xdb
	markerDRI   = 0xdd
	markerAPP0  = 0xe0
	markerAPP15 = 0xef
	markerCOM   = 0xfe
)

// inspectJPEG checks the segments, and the scans between them, up to the end-of-image marker.
func inspectJPEG(s *scanner) (size dimensions, err error) {
	if err := s.skip(2); err != nil { // start of image
		return size, err
	}
	hasScan := false
	for {
		marker, err := s.nextMarker()
		if err != nil {
			return size, err
		}
		switch {
		case marker == markerEOI && !hasScan:
			return size, damaged("jpeg: no scan")
		case marker == markerEOI:
			return size, nil
		case marker == markerSOF0, marker == markerSOF1, marker == markerSOF2:
			if size != (dimensions{}) {
				return size, damaged("jpeg: a second frame")
			}
			if size, err = s.jpegFrame(marker); err == nil {
				err = size.check()
			}
		case marker == markerSOS && size == dimensions{}:
			return size, damaged("jpeg: a scan before the frame")
		case marker == markerSOS:
			hasScan = true
			err = s.jpegScan()
		case isPlainSegment(marker):
			_, err = s.jpegSegment()
		case marker > markerSOF2 && marker <= markerSOF15:
			return size, unsupported("jpeg: lossless, hierarchical or arithmetic")
		default:
			return size, damaged("jpeg: unknown marker")
		}
		if err != nil {
			return size, err
		}
	}
}

// isPlainSegment reports whether a segment can be skipped by its length.
func isPlainSegment(marker byte) bool {
	switch marker {
	case markerDHT, markerDQT, markerDRI, markerCOM:
		return true
	}
	return marker >= markerAPP0 && marker <= markerAPP15
}

// nextMarker returns the next marker that matters. It skips the data of a scan and, as all decoders
// do, stray bytes between segments.
func (s *scanner) nextMarker() (byte, error) {
	for {
		if err := s.skipPast(0xff); err != nil {
			return 0, err
		}
		marker, err := s.readByte()
		filled := false
		for err == nil && marker == 0xff {
			marker, err = s.readByte()
			filled = true
		}
		switch {
		case err != nil:
			return 0, err
		case marker == 0 && !filled: // an escaped 0xff byte of the data
		case marker >= markerRST0 && marker <= markerRST7:
		default:
			return marker, nil
		}
	}
}

// skipPast skips everything up to and including the next byte c.
func (s *scanner) skipPast(c byte) error {
	for {
		if _, err := s.Peek(1); err != nil {
			return cutOff(err)
		}
		window, err := s.Peek(s.Buffered())
		if err != nil {
			return err
		}
		if i := bytes.IndexByte(window, c); i >= 0 {
			return s.skip(int64(i) + 1)
		}
		if err := s.skip(int64(len(window))); err != nil {
			return err
		}
	}
}

// jpegSegment reads a segment and returns its content.
func (s *scanner) jpegSegment() (head []byte, err error) {
	p, err := s.next(2)
	if err != nil {
		return nil, err
	}
	length := int(p[0])<<8 | int(p[1])
	if length < 2 {
		return nil, damaged("jpeg: short segment")
	}
	return s.next(length - 2)
}

// jpegFrame reads the frame header. Go's decoder checks it, so that every stored picture can be
// decoded for thumbnails.
func (s *scanner) jpegFrame(marker byte) (dimensions, error) {
	frame, err := s.jpegSegment()
	if err != nil {
		return dimensions{}, err
	}
	length := len(frame) + 2
	header := []byte{0xff, 0xd8, 0xff, marker, byte(length >> 8), byte(length)}
	header = append(header, frame...)
	header = append(header, 0xff, markerSOS, 0, 2)
	config, err := jpeg.DecodeConfig(bytes.NewReader(header))
	if u := jpeg.UnsupportedError(""); errors.As(err, &u) {
		return dimensions{}, unsupported(err.Error())
	}
	if err != nil {
		return dimensions{}, damaged(err.Error())
	}
	return dimensions{config.Width, config.Height}, nil
}

// jpegScan reads a scan header and checks that data follows.
func (s *scanner) jpegScan() error {
	header, err := s.jpegSegment()
	if err != nil {
		return err
	}
	if len(header) < 6 || len(header) != 4+2*int(header[0]) {
		return damaged("jpeg: bad scan header")
	}
	data, err := s.Peek(2)
	if err != nil {
		return cutOff(err)
	}
	if data[0] == 0xff && data[1] != 0 {
		return damaged("jpeg: empty scan")
	}
	return nil
}
