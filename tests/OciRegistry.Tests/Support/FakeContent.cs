using System.Text;
using System.Text.Json.Nodes;

namespace OciRegistry.Tests.Support;

/// <summary>What a <see cref="FakeUpstream"/> has, by repository.</summary>
internal sealed class FakeContent
{
    private readonly Lock _lock = new();
    private readonly Dictionary<(string Repository, string Digest), (byte[] Content, string MediaType)> _manifests = [];
    private readonly Dictionary<(string Repository, string Digest), byte[]> _blobs = [];
    private readonly Dictionary<(string Repository, string Tag), string> _tags = [];
    private readonly Dictionary<(string Repository, string Subject), List<JsonObject>> _referrers = [];

    public void AddBlob(string repository, Digest digest, byte[] content)
    {
        lock (_lock)
        {
            _blobs[(repository, digest.ToString())] = content;
        }
    }

    public void AddManifest(string repository, Digest digest, byte[] content, string mediaType, params string[] tags)
    {
        lock (_lock)
        {
            _manifests[(repository, digest.ToString())] = (content, mediaType);
            foreach (var tag in tags)
            {
                _tags[(repository, tag)] = digest.ToString();
            }
        }
    }

    public void AddReferrer(string repository, Digest subject, JsonObject descriptor)
    {
        lock (_lock)
        {
            if (!_referrers.TryGetValue((repository, subject.ToString()), out var referrers))
            {
                _referrers[(repository, subject.ToString())] = referrers = [];
            }

            referrers.Add(descriptor);
        }
    }

    public void Remove(string repository, Digest digest)
    {
        lock (_lock)
        {
            _blobs.Remove((repository, digest.ToString()));
            _manifests.Remove((repository, digest.ToString()));
            foreach (var tag in _tags.Where(tag => tag.Key.Repository == repository && tag.Value == digest.ToString()).ToArray())
            {
                _tags.Remove(tag.Key);
            }
        }
    }

    public void RemoveTag(string repository, string tag)
    {
        lock (_lock)
        {
            _tags.Remove((repository, tag));
        }
    }

    public FakeAnswer Blob(string repository, string digest)
    {
        lock (_lock)
        {
            return _blobs.TryGetValue((repository, digest), out var content)
                ? Content(digest, content, MediaTypes.OctetStream)
                : FakeAnswer.Error(404, "BLOB_UNKNOWN");
        }
    }

    public FakeAnswer Manifest(string repository, string reference)
    {
        lock (_lock)
        {
            var digest = _tags.GetValueOrDefault((repository, reference), reference);
            return _manifests.TryGetValue((repository, digest), out var manifest)
                ? Content(digest, manifest.Content, manifest.MediaType)
                : FakeAnswer.Error(404, "MANIFEST_UNKNOWN");
        }
    }

    /// <summary>What an index says of a manifest.</summary>
    public JsonObject Descriptor(string repository, Digest digest)
    {
        lock (_lock)
        {
            var (content, mediaType) = _manifests[(repository, digest.ToString())];
            return new JsonObject { ["mediaType"] = mediaType, ["digest"] = digest.ToString(), ["size"] = content.Length };
        }
    }

    public FakeAnswer Referrers(string repository, string subject)
    {
        lock (_lock)
        {
            var index = new JsonObject
            {
                ["schemaVersion"] = 2,
                ["mediaType"] = MediaTypes.ImageIndex,
                ["manifests"] = new JsonArray([.. _referrers.GetValueOrDefault((repository, subject), []).Select(found => found.DeepClone())]),
            };
            return new FakeAnswer(200, Encoding.UTF8.GetBytes(index.ToJsonString()), MediaTypes.ImageIndex);
        }
    }

    public FakeAnswer Tags(string repository, int? n, string? last)
    {
        lock (_lock)
        {
            if (!_manifests.Keys.Concat(_blobs.Keys).Any(key => key.Repository == repository))
            {
                return FakeAnswer.Error(404, "NAME_UNKNOWN");
            }

            var tags = _tags.Keys.Where(key => key.Repository == repository).Select(key => key.Tag).Order(StringComparer.Ordinal)
                .Where(tag => last is null || string.CompareOrdinal(tag, last) > 0).ToArray();
            var page = tags.Take(n ?? int.MaxValue).ToArray();
            var list = new JsonObject { ["name"] = repository, ["tags"] = new JsonArray([.. page.Select(tag => JsonValue.Create(tag))]) };
            var answer = new FakeAnswer(200, Encoding.UTF8.GetBytes(list.ToJsonString()));
            if (page.Length < tags.Length && page.Length > 0)
            {
                answer.Headers["Link"] = $"</v2/{repository}/tags/list?n={n}&last={page[^1]}>; rel=\"next\"";
            }

            return answer;
        }
    }

    private static FakeAnswer Content(string digest, byte[] content, string mediaType) => new(200, content, mediaType)
    {
        Headers = { ["Docker-Content-Digest"] = digest, ["ETag"] = $"\"{digest}\"" },
    };
}
