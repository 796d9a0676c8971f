using System.Runtime.Versioning;
using Microsoft.Extensions.DependencyInjection;
using OciRegistry.Repositories;
using OciRegistry.Storage;
using OciRegistry.Storage.FileSystem;
using OciRegistry.Tests.Support;

namespace OciRegistry.Tests.Storage;

/// <summary>What the registry may not read is not missing, and what it may not write fails at once and at the start.</summary>
[SupportedOSPlatform("linux")]
public sealed class FolderAccessTests : IDisposable
{
    private static readonly DocumentKey Key = new("a/b", "name");

    private readonly FileSystemStorage _storage = new();
    private readonly List<(string Path, UnixFileMode Mode)> _closed = [];

    public void Dispose()
    {
        foreach (var (path, mode) in _closed)
        {
            File.SetUnixFileMode(path, mode);
        }

        _storage.Dispose();
    }

    [Fact]
    public async Task A_folder_that_may_not_be_read_is_an_error_and_not_empty()
    {
        var store = _storage.Documents();
        await store.WriteAsync(Key, default, WriteCondition.None, Durability.Atomic, default);
        Close(_storage.Root.Folder(Key.Folder));

        UnprivilegedThread.Run(() =>
        {
            ShouldBeRefused(() => store.ListAsync(Key.Folder, null, 10, default).AsTask());
            ShouldBeRefused(() => store.ListFreshAsync(Key.Folder, null, 10, default).AsTask());
            ShouldBeRefused(() => store.AnyAsync(Key.Folder, default).AsTask());
            ShouldBeRefused(() => store.ReadAsync(Key, default).AsTask());
            ShouldBeRefused(() => store.WriteAsync(Key, default, WriteCondition.None, Durability.Synced, default).AsTask());
            ShouldBeRefused(() => store.DeleteAsync(Key, WriteCondition.None, Durability.Synced, default).AsTask());
        });
    }

    [Fact]
    public async Task Content_is_kept_while_its_holders_may_not_be_read()
    {
        await using var registry = await RegistryApp.StartAsync();
        var repository = RegistryClient.NewRepository();
        var content = RegistryClient.RandomBytes(100);
        var digest = await registry.Http.PushBlobAsync(repository, content);
        var condemned = registry.Services.GetRequiredService<CondemnedContent>();
        var documents = registry.Services.GetRequiredService<IDocumentStore>();
        await documents.WriteAsync(
            RegistryLayout.Condemnation(digest),
            """{"since":"2000-01-01T00:00:00Z"}"""u8.ToArray(),
            WriteCondition.None,
            Durability.Synced,
            default);
        Close(registry.Services.GetRequiredService<FileSystemRoot>().Folder(RegistryLayout.Links(digest)));

        UnprivilegedThread.Run(() =>
            condemned.SweepAsync(TimeSpan.Zero, default).AsTask().GetAwaiter().GetResult().ShouldBe(0));

        Open();
        using var pulled = await registry.Http.GetBlobAsync(repository, digest);
        await pulled.ShouldBeContentAsync(digest, content);
    }

    [Theory]
    [InlineData("documents")]
    [InlineData("documents/repositories")]
    [InlineData("tmp")]
    [InlineData("spare")]
    [InlineData("locks")]
    [InlineData("quarantine")]
    [InlineData("_data")]
    [InlineData("blobs")]
    [InlineData("blobs/sha256")]
    public void Each_folder_that_refuses_writes_is_named_by_the_start(string folder)
    {
        var path = Path.Combine(_storage.Root.Root, folder);
        Directory.CreateDirectory(path);
        Close(path, UnixFileMode.UserRead | UnixFileMode.UserExecute);

        UnprivilegedThread.Run(() =>
        {
            var problem = ProblemOf(new FileSystemProbe(_storage.Root));
            problem.ShouldNotBeNull().ShouldContain($"'{path}'");
            problem.ShouldContain("Permission denied");
            problem.ShouldContain(Environment.UserName);
        });
        Open();
        ProblemOf(new FileSystemProbe(_storage.Root)).ShouldBeNull();
    }

    [Theory]
    [InlineData("documents")]
    [InlineData("tmp")]
    [InlineData("spare")]
    [InlineData("locks")]
    [InlineData("quarantine")]
    [InlineData("_data")]
    [InlineData("blobs")]
    public void A_folder_that_begins_to_refuse_writes_makes_a_running_registry_unready(string folder)
    {
        var probe = new FileSystemProbe(_storage.Root);
        ProblemOf(probe).ShouldBeNull();
        Close(Path.Combine(_storage.Root.Root, folder), UnixFileMode.UserRead | UnixFileMode.UserExecute);

        UnprivilegedThread.Run(() => ProblemOf(probe).ShouldNotBeNull().ShouldContain($"/{folder}'"));
    }

    [Fact]
    public async Task A_lock_file_that_refuses_writes_is_named_by_the_start()
    {
        await _storage.Documents().WriteAsync(Key, default, WriteCondition.None, Durability.Atomic, default);
        var file = Directory.EnumerateFiles(_storage.Root.Locks).ShouldHaveSingleItem();
        Close(file, UnixFileMode.UserRead);

        UnprivilegedThread.Run(() => ProblemOf(new FileSystemProbe(_storage.Root)).ShouldNotBeNull().ShouldContain($"'{file}'"));
    }

    [Fact]
    public async Task The_probe_leaves_nothing_and_no_store_takes_its_files_for_its_own()
    {
        foreach (var folder in Directory.EnumerateDirectories(_storage.Root.Root))
        {
            await File.WriteAllTextAsync(Path.Combine(folder, ".probe"), "left by a process that died");
        }

        (await _storage.Documents().ListAsync(".", null, 10, default)).ShouldBeEmpty();
        _storage.Blobs().ListAsync(default).ToBlockingEnumerable().ShouldBeEmpty();
        _storage.Uploads().ListAsync(DateTimeOffset.MaxValue, default).ToBlockingEnumerable().ShouldBeEmpty();
        ProblemOf(new FileSystemProbe(_storage.Root)).ShouldBeNull();
        Directory.EnumerateFiles(_storage.Root.Root, "*", SearchOption.AllDirectories).ShouldBeEmpty();
    }

    private static string? ProblemOf(FileSystemProbe probe) => probe.ProblemAsync(default).AsTask().GetAwaiter().GetResult()?.Message;

    private static void ShouldBeRefused(Func<Task> call) =>
        Should.Throw<StorageException>(() => call().GetAwaiter().GetResult()).IsRefused.ShouldBeTrue();

    private void Close(string path, UnixFileMode mode = UnixFileMode.None)
    {
        _closed.Add((path, File.GetUnixFileMode(path)));
        File.SetUnixFileMode(path, mode);
    }

    private void Open()
    {
        foreach (var (path, mode) in _closed)
        {
            File.SetUnixFileMode(path, mode);
        }

        _closed.Clear();
    }
}
