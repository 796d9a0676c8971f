using OciRegistry.Storage.FileSystem;

namespace OciRegistry.IntegrationTests.Support;

/// <summary>The storage that replicas share, and what a test may look at in it behind their backs.</summary>
internal interface ISharedStorage : IAsyncDisposable
{
    /// <summary>As <c>OciRegistry:Section:Name=value</c>.</summary>
    IReadOnlyList<string> Settings { get; }

    /// <summary>Session documents and staged bytes.</summary>
    Task<List<string>> SessionsAsync();

    /// <summary>Bytes that no session on record has staged, and that are no content.</summary>
    Task<List<string>> UnusedAsync();

    /// <summary>Besides those, what writing leaves behind when it breaks off.</summary>
    Task<List<string>> RemainsAsync();

    /// <summary>All content, with the digest that it should have.</summary>
    Task<List<(Digest Digest, byte[] Content)>> ContentAsync();

    /// <summary>Whether the content is there, for some repository or none.</summary>
    Task<bool> HasAsync(Digest digest);

    /// <summary>Whether a replica that is held now holds nothing that the others need within a write to a document.</summary>
    bool MayPauseNow();

    /// <summary>Waits until what a process has sent to the storage before it died has happened, or will not.</summary>
    Task SettleAsync();
}

internal sealed class SharedFolder : ISharedStorage
{
    private readonly TempFolder _folder = new();

    public SharedFolder() => Root = _folder.Create("data");

    public string Root { get; }

    public IReadOnlyList<string> Settings => [$"OciRegistry:Storage:FileSystem:Root={Root}"];

    public Task<List<string>> SessionsAsync() =>
        Task.FromResult<List<string>>([.. FilesIn("_data"), .. FilesIn(Path.Combine("documents", "_uploads"))]);

    public Task<List<string>> UnusedAsync() => Task.FromResult<List<string>>([]); // staged bytes go before their session's document

    public async Task<List<string>> RemainsAsync() => [.. await SessionsAsync(), .. FilesIn("tmp")];

    public async Task<List<(Digest Digest, byte[] Content)>> ContentAsync()
    {
        var content = new List<(Digest, byte[])>();
        foreach (var file in FilesIn("blobs"))
        {
            var algorithm = Path.GetRelativePath(Path.Combine(Root, "blobs"), file).Split('/')[0];
            content.Add((Digest.Parse($"{algorithm}:{Path.GetFileName(file)}"), await File.ReadAllBytesAsync(file)));
        }

        return content;
    }

    public Task<bool> HasAsync(Digest digest) => Task.FromResult(
        FilesIn("blobs").Any(file => Path.GetFileName(file) == digest.Hex));

    public bool MayPauseNow() => Directory.GetFiles(Path.Combine(Root, "locks")).All(IsFree); // one may be a moment old

    public Task SettleAsync() => Task.CompletedTask; // a system call ends with its process

    public ValueTask DisposeAsync() => _folder.DisposeAsync();

    private static bool IsFree(string lockFile)
    {
        using var file = Posix.OpenReadWrite(lockFile, create: false)!;
        return Posix.TryLock(file);
    }

    private List<string> FilesIn(string folder) => Directory.Exists(Path.Combine(Root, folder))
        ? [.. Directory.EnumerateFiles(Path.Combine(Root, folder), "*", SearchOption.AllDirectories)]
        : [];
}
