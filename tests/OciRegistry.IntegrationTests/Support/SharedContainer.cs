using System.Text;
using OciRegistry.Azure;
using OciRegistry.Storage;

namespace OciRegistry.IntegrationTests.Support;

/// <summary>A container of a test's own, which its replicas may reach through a proxy.</summary>
internal sealed class SharedContainer : ISharedStorage
{
    private readonly AzureStorage _storage;
    private readonly string _connectionString;

    private SharedContainer(AzureStorage storage, string connectionString) =>
        (_storage, _connectionString) = (storage, connectionString);

    public IReadOnlyList<string> Settings =>
    [
        $"OciRegistry:Storage:AzureBlobs:ConnectionString={_connectionString}",
        $"OciRegistry:Storage:AzureBlobs:Container={_storage.Options.Container}",
    ];

    public static async Task<SharedContainer> CreateAsync(string? connectionString = null)
    {
        var storage = await AzureStorage.CreateAsync();
        return new SharedContainer(storage, connectionString ?? storage.Options.ConnectionString!);
    }

    public async Task<List<string>> SessionsAsync() =>
    [
        .. (await _storage.NamesAsync()).Where(name =>
            name.StartsWith("documents/_uploads@", StringComparison.Ordinal) || name.StartsWith("_pieces/", StringComparison.Ordinal)),
    ];

    /// <summary>
    /// Data that no digest points at, nor a removal names: where a process has died between the pointer and its data, another one
    /// goes on after five minutes.
    /// </summary>
    public async Task<List<string>> UnusedAsync()
    {
        var names = await _storage.NamesAsync();
        var content = (await PointersAsync()).Select(pointer => pointer.Data).ToHashSet();
        var removals = await RemovalsAsync();
        var found = new List<string>();
        foreach (var name in names)
        {
            if (name.StartsWith("_data/", StringComparison.Ordinal) && !content.Contains(name)
                && !removals.Exists(removal => removal.Contains(Path.GetFileName(name), StringComparison.Ordinal))
                && await DescribeAsync(name) is { } described)
            {
                found.Add(described);
            }
        }

        return found;
    }

    /// <summary>What a failed test shows of a blob; null when it is gone meanwhile.</summary>
    private async Task<string?> DescribeAsync(string name)
    {
        try
        {
            var found = (await _storage.Container().Client.GetBlobClient(name).GetPropertiesAsync()).Value;
            return $"{name} of {found.ContentLength} bytes, for {found.Metadata.FirstOrDefault().Value}, made {found.CreatedOn:HH:mm:ss}, "
                + $"changed {found.LastModified:HH:mm:ss}";
        }
        catch (global::Azure.RequestFailedException e) when (e.Status == 404)
        {
            return null;
        }
    }

    public async Task<List<string>> RemainsAsync() => [.. await SessionsAsync(), .. await UnusedAsync()];

    public async Task<List<(Digest Digest, byte[] Content)>> ContentAsync()
    {
        var blobs = _storage.Blobs();
        var content = new List<(Digest, byte[])>();
        await foreach (var digest in blobs.ListAsync(default))
        {
            await using var read = (await blobs.OpenReadAsync(digest, 0, long.MaxValue, default)).ShouldNotBeNull();
            var bytes = new byte[read.Length];
            for (var done = 0; done < bytes.Length;)
            {
                done += await read.ReadAsync(bytes.AsMemory(done), done, default);
            }

            content.Add((digest, bytes));
        }

        return content;
    }

    public async Task<bool> HasAsync(Digest digest) => await _storage.Blobs().StatAsync(digest, default) is not null;

    public bool MayPauseNow() => true; // the storage itself compares and swaps: nothing is held meanwhile

    /// <summary>Some writes of our own, one after another, each of which takes as long as those that came before it.</summary>
    public async Task SettleAsync()
    {
        var blob = _storage.Container().Client.GetBlobClient("settled");
        for (var i = 0; i < 5; i++)
        {
            await blob.UploadAsync(BinaryData.FromString("settled"), overwrite: true);
        }
    }

    public ValueTask DisposeAsync() => _storage.DeleteAsync();

    private async Task<List<string>> RemovalsAsync()
    {
        var documents = _storage.Documents();
        var found = new List<string>();
        foreach (var digest in await documents.ListAsync(RegistryLayout.Condemned, null, int.MaxValue, default))
        {
            if (await documents.ReadAsync(new DocumentKey(RegistryLayout.Condemned, digest), default) is { } removal)
            {
                found.Add(Encoding.UTF8.GetString(removal.Content.Span));
            }
        }

        return found;
    }

    private async Task<List<BlobPointer>> PointersAsync()
    {
        var pointers = new BlobPointers(new SmallBlobs(_storage.Container()));
        var found = new List<BlobPointer>();
        await foreach (var digest in _storage.Blobs().ListAsync(default))
        {
            if (await pointers.ReadAsync(digest, default) is { Pointer: { } pointer })
            {
                found.Add(pointer);
            }
        }

        return found;
    }
}
