using System.Net;
using Microsoft.Extensions.DependencyInjection;
using OciRegistry.Storage;
using OciRegistry.Storage.FileSystem;
using OciRegistry.Tests.Support;

namespace OciRegistry.Tests.Storage;

/// <summary>Folders come with the first document and go with the last one, whoever writes at the same time.</summary>
public sealed class DocumentFoldersTests : IDisposable
{
    private static readonly DocumentKey Key = new("a/b/c", "name");

    private readonly FileSystemStorage _storage = new();

    public void Dispose() => _storage.Dispose();

    [Theory]
    [InlineData(Durability.Synced)]
    [InlineData(Durability.Atomic)]
    public async Task Folders_go_with_their_last_document_up_to_the_part_that_they_are_in(Durability durability)
    {
        var store = _storage.Documents();
        var other = new DocumentKey("a/b", "other");
        await store.WriteAsync(Key, default, WriteCondition.None, durability, default);
        await store.WriteAsync(other, default, WriteCondition.None, durability, default);

        await store.DeleteAsync(Key, WriteCondition.None, durability, default);
        Folders().ShouldBe(["a", "a/b"]);
        await store.DeleteAsync(other, WriteCondition.None, durability, default);
        Folders().ShouldBe(["a"]);

        await store.WriteAsync(Key, default, WriteCondition.Absent, durability, default);
        (await store.ListAsync(Key.Folder, null, 10, default)).ShouldBe([Key.Name]);
    }

    [Fact]
    public async Task A_write_that_is_refused_leaves_no_folder()
    {
        (await _storage.Documents().WriteAsync(Key, default, WriteCondition.Unchanged("0"), Durability.Synced, default)).ShouldBeNull();
        Folders().ShouldBeEmpty();
    }

    [Fact]
    public async Task A_write_makes_its_folder_again_when_it_is_removed_in_between()
    {
        var store = _storage.Documents();
        await store.WriteAsync(Key, default, WriteCondition.None, Durability.Synced, default);
        await store.DeleteAsync(Key, WriteCondition.None, Durability.Synced, default);
        using var held = Posix.OpenReadWrite(Directory.EnumerateFiles(_storage.Root.Locks).ShouldHaveSingleItem(), create: false)!;
        Posix.TryLock(held).ShouldBeTrue();

        // It has made the folder, and waits for the lock of the document.
        var write = store.WriteAsync(Key, "x"u8.ToArray(), WriteCondition.None, Durability.Synced, default).AsTask();
        var folder = _storage.Root.Folder(Key.Folder);
        await Until.TrueAsync(() => Directory.Exists(folder), "the writer has made the folder");
        Directory.Delete(folder);
        Directory.Delete(Path.GetDirectoryName(folder)!);
        Posix.Unlock(held);

        (await Until.DoneAsync(write)).ShouldNotBeNull();
        (await _storage.Documents().ReadAsync(Key, default))!.Content.ToArray().ShouldBe("x"u8.ToArray());
    }

    [Fact]
    public async Task Writers_and_deleters_in_the_same_folder_lose_nothing()
    {
        // Each store is what another process would have. Names are each writer's own: what is told to it must be so.
        IDocumentStore[] stores = [_storage.Documents(), _storage.Documents()];
        await Task.WhenAll(Enumerable.Range(0, 6).Select(writer => Task.Run(async () =>
        {
            var store = stores[writer % 2];
            var key = new DocumentKey($"a/b/{writer % 3 / 2}", $"{writer}");
            var durability = writer < 4 ? Durability.Synced : Durability.Atomic;
            for (var i = 0; i < Counts.Of(ci: 100, full: 10_000); i++)
            {
                var content = BitConverter.GetBytes(i);
                (await store.WriteAsync(key, content, WriteCondition.Absent, durability, default)).ShouldNotBeNull();
                var read = await stores[(writer + i) % 2].ReadAsync(key, default);
                read.ShouldNotBeNull().Content.ToArray().ShouldBe(content);
                (await store.ListFreshAsync(key.Folder, null, 10, default)).ShouldContain(key.Name);
                (await store.DeleteAsync(key, WriteCondition.Unchanged(read.Version), durability, default)).ShouldBeTrue();
                (await store.ReadAsync(key, default)).ShouldBeNull();
            }
        })));

        Folders().ShouldBe(["a"]);
        _storage.Leftovers().ShouldBeEmpty();
    }

    [Fact]
    public async Task Deletes_of_what_is_not_there_write_nothing()
    {
        await using var registry = await RegistryApp.StartAsync();
        var repository = RegistryClient.NewRepository();
        await registry.Http.PushImageAsync(repository, "v1");
        var before = Entries(registry.Root);

        for (var i = 0; i < Counts.Of(ci: 60, full: 1_000); i++)
        {
            var digest = Digest.Of(RegistryClient.RandomBytes(20));
            var name = i % 2 == 0 ? repository : RegistryClient.NewRepository();
            foreach (var path in new[] { $"blobs/{digest}", $"manifests/{digest}", $"manifests/v{i + 2}", $"blobs/uploads/{i:x32}" })
            {
                using var answer = await registry.Http.DeleteAsync($"/v2/{name}/{path}");
                answer.StatusCode.ShouldBe(HttpStatusCode.NotFound);
            }
        }

        Entries(registry.Root).ShouldBe(before);
    }

    [Fact]
    public async Task A_delete_that_died_half_way_is_finished_by_the_next_one()
    {
        await using var registry = await RegistryApp.StartAsync();
        var repository = RegistryClient.NewRepository();
        var digest = Digest.Of(RegistryClient.RandomBytes(20));
        var documents = registry.Services.GetRequiredService<IDocumentStore>();
        var reverse = RegistryLayout.Link(digest, RepositoryName.Parse(repository));
        await documents.WriteAsync(
            reverse, OciRegistry.Repositories.CondemnedContent.Unlinking, WriteCondition.None, Durability.Synced, default);

        using var answer = await registry.Http.DeleteAsync($"/v2/{repository}/blobs/{digest}");

        answer.StatusCode.ShouldBe(HttpStatusCode.NotFound);
        (await documents.ReadAsync(reverse, default)).ShouldBeNull();
    }

    [Fact]
    public async Task A_registry_that_has_lost_everything_keeps_its_parts_alone()
    {
        await using var registry = await RegistryApp.StartAsync();
        var http = registry.Http;
        var repository = RegistryClient.NewRepository() + "/below";
        var layer = RegistryClient.RandomBytes(100);
        var image = await http.PushImageAsync(repository, "v1", layer);
        var signature = await http.PushImageAsync(repository, "v2", layer, subject: Digest.Of(image));
        await http.PushImageAsync(repository, "v1", layer); // v1 moves

        var documents = registry.Services.GetRequiredService<FileSystemRoot>().Documents;
        var blobs = Names(Path.Combine(documents, "repositories", repository, "_blobs"));
        foreach (var manifest in Names(Path.Combine(documents, "repositories", repository, "_manifests")))
        {
            await DeleteAsync($"manifests/{manifest}");
        }

        foreach (var blob in blobs)
        {
            await DeleteAsync($"blobs/{blob}");
        }

        signature.ShouldNotBeEmpty();
        Directory.EnumerateFiles(documents, "*", SearchOption.AllDirectories).ShouldBeEmpty();
        Directory.EnumerateDirectories(documents).SelectMany(Directory.EnumerateDirectories).ShouldBeEmpty();

        await http.PushImageAsync(repository, "v1");

        async Task DeleteAsync(string path)
        {
            using var answer = await http.DeleteAsync($"/v2/{repository}/{path}");
            await answer.ShouldHaveStatusAsync(HttpStatusCode.Accepted);
        }

        static string[] Names(string folder) => [.. Directory.EnumerateFiles(folder).Select(file => Path.GetFileName(file)[..^1])];
    }

    /// <summary>With the times of their last change: a file that came and went has changed its folder.</summary>
    private static string[] Entries(string root) =>
        [.. Directory.EnumerateFileSystemEntries(root, "*", SearchOption.AllDirectories)
            .Where(path => !path.Contains("/locks", StringComparison.Ordinal))
            .Order(StringComparer.Ordinal)
            .Select(path => $"{path} {Posix.Stat(path)!.Value.ModifiedTicks}")];

    private string[] Folders() =>
        [.. Directory.EnumerateDirectories(_storage.Root.Documents, "*", SearchOption.AllDirectories)
            .Select(folder => Path.GetRelativePath(_storage.Root.Documents, folder)).Order(StringComparer.Ordinal)];
}
