"""From video files to the face store: sampling, detection, landmarks, context crops."""
