using System.Collections.Concurrent;

namespace OciRegistry.Azure;

/// <summary>
/// The last sessions whose bytes this process has made content: their blobs are no longer theirs, which saves the look
/// before each is discarded.
/// </summary>
internal sealed class PublishedSessions
{
    private const int Capacity = 10_000;

    private readonly ConcurrentDictionary<UploadSessionId, bool> _sessions = [];

    public void Add(UploadSessionId session)
    {
        if (_sessions.Count >= Capacity)
        {
            _sessions.Clear();
        }

        _sessions[session] = true;
    }

    public bool Contains(UploadSessionId session) => _sessions.ContainsKey(session);
}
