using OciRegistry.IntegrationTests.Support;

namespace OciRegistry.IntegrationTests.Clients;

public sealed class DockerLoginTests
{
    [Theory]
    [MemberData(nameof(Accounts.EveryLogin), MemberType = typeof(Accounts))]
    public async Task Who_has_logged_in_pushes_mounts_and_pulls_until_he_logs_out(Login login)
    {
        await using var daemon = await DockerDaemon.StartAsync();
        await using var accounts = await Accounts.CreateAsync();
        await using var registry = await ServerProcess.StartAsync(accounts.Settings(login));
        var docker = daemon.Docker;
        var image = $"{registry.Host}/team/server:v1";
        var copy = $"{registry.Host}/team/copy:v1";
        await BuildAsync(docker, image);
        await docker.RunAsync("tag", image, copy);

        await LogInAsync(docker, registry, Accounts.Alice);
        (await docker.RunAsync("push", image)).ShouldContain("Pushed");
        (await docker.RunAsync("push", copy)).ShouldContain("Mounted from team/server");
        await docker.RunAsync("rmi", image, copy);
        await docker.RunAsync("pull", "--quiet", copy);

        await Accounts.Alice.SignInAsync(registry, login, "team/copy");
        (await docker.RunAsync("image", "inspect", "--format", "{{join .RepoDigests \" \"}}", copy))
            .ShouldBe($"{registry.Host}/team/copy@{await registry.Http.DigestAsync("team/copy", "v1")}");
        await docker.RunAsync("logout", registry.Host);
        await docker.RunAsync("rmi", copy);
        (await docker.TryRunAsync("pull", copy)).ShouldBeUnauthorized();
    }

    [Theory]
    [MemberData(nameof(Accounts.EveryLogin), MemberType = typeof(Accounts))]
    public async Task Who_may_not_push_is_told_so(Login login)
    {
        await using var daemon = await DockerDaemon.StartAsync();
        await using var accounts = await Accounts.CreateAsync();
        await using var registry = await ServerProcess.StartAsync(accounts.Settings(login));
        var docker = daemon.Docker;
        var image = $"{registry.Host}/team/server:v1";
        await BuildAsync(docker, image);

        (await docker.TryRunAsync("login", "--username", "alice", "--password", "wrong", registry.Host)).ShouldBeUnauthorized();
        (await docker.TryRunAsync("push", image)).ShouldBeUnauthorized();
        await LogInAsync(docker, registry, Accounts.Bob);
        var denied = await docker.TryRunAsync("push", image);
        denied.ExitCode.ShouldNotBe(0);
        denied.Error.ShouldContain("denied");
        denied.Error.ShouldContain("user:bob may not");
    }

    [Fact]
    public async Task Everybody_pulls_what_is_public()
    {
        // By tokens: where the registry takes names and passwords only, docker sends nothing without.
        await using var daemon = await DockerDaemon.StartAsync();
        await using var accounts = await Accounts.CreateAsync();
        await using var registry = await ServerProcess.StartAsync(accounts.Settings(Login.Tokens));
        var docker = daemon.Docker;
        var image = $"{registry.Host}/public/server:v1";
        await BuildAsync(docker, image);
        (await docker.TryRunAsync("push", image)).ShouldBeUnauthorized();
        await LogInAsync(docker, registry, Accounts.Alice);
        await docker.RunAsync("push", "--quiet", image);
        await docker.RunAsync("logout", registry.Host);
        await docker.RunAsync("rmi", image);

        await docker.RunAsync("pull", "--quiet", image);
    }

    [Theory]
    [MemberData(nameof(Accounts.EveryLogin), MemberType = typeof(Accounts))]
    public async Task Who_may_not_pull_from_a_repository_pushes_what_others_mount(Login login)
    {
        await using var daemon = await DockerDaemon.StartAsync();
        await using var accounts = await Accounts.CreateAsync();
        await using var registry = await ServerProcess.StartAsync(accounts.Settings(login));
        var docker = daemon.Docker;
        var (image, copy) = ($"{registry.Host}/closed/server:v1", $"{registry.Host}/bob/server:v1");
        await BuildAsync(docker, image);
        await docker.RunAsync("tag", image, copy);
        await LogInAsync(docker, registry, Accounts.Alice);
        await docker.RunAsync("push", "--quiet", image);

        await LogInAsync(docker, registry, Accounts.Bob);
        var pushed = await docker.RunAsync("push", copy);

        pushed.ShouldContain("Pushed");
        pushed.ShouldNotContain("Mounted");
        (await docker.TryRunAsync("pull", image)).Error.ShouldContain("denied");
    }

    private static Task<string> LogInAsync(Tool docker, ServerProcess registry, Account user) =>
        docker.RunAsync("login", "--username", user.Name, "--password", user.Password, registry.Host);

    private static async Task BuildAsync(Tool docker, string image)
    {
        await using var folder = new TempFolder();
        await File.WriteAllTextAsync(folder["Dockerfile"], """
            FROM scratch
            COPY Dockerfile /
            """);
        await docker.RunAsync("build", "--quiet", "--tag", image, folder.Path);
    }
}
