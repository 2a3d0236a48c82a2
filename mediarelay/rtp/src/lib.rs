//! RTP, RTCP, SRTP and SRTCP: headers, protection, statistics. No I/O.
