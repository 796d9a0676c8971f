using OciRegistry.Storage;

namespace OciRegistry.Azure;

/// <summary>
/// The last sessions whose bytes this process has made content: their blobs are no longer theirs, which saves the look
/// before each is discarded.
/// </summary>
internal sealed class PublishedSessions
{
    private const int Capacity = 10_000;

    private readonly Remembered<UploadSessionId, bool> _sessions = new(Capacity);

    public void Add(UploadSessionId session) => _sessions.Set(session, true);

    public bool Contains(UploadSessionId session) => _sessions.Contains(session);
}
