using System.Diagnostics;
using System.Text;
using OciRegistry.Auth;
using OciRegistry.Server;

namespace OciRegistry.Tests.Server;

public sealed class UserCommandTests : IDisposable
{
    private const string Setting = "OciRegistry:Auth:Htpasswd";
    private const string Hash = "$2y$05$aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa";

    private readonly CommandFolder _folder = new();

    public void Dispose() => _folder.Dispose();

    [Fact]
    public async Task Users_are_added_listed_and_removed_and_the_storage_is_not_touched()
    {
        (await _folder.RunAsync("user add bob --file users --password-stdin", "secret\n")).ShouldBeDone("Added user 'bob' to 'users'.");
        (await _folder.RunAsync("user add alice --file users --password-stdin", "other\n")).ShouldBeDone();

        PasswordOf("bob").ShouldBe("secret");
        PasswordOf("alice").ShouldBe("other");
        (await _folder.RunAsync("user list --file users")).ShouldBeDone("alice\nbob");
        (await _folder.RunAsync("user remove bob --file users")).ShouldBeDone("Removed user 'bob' from 'users'.");
        (await _folder.RunAsync("user list --file users")).ShouldBeDone("alice");
        Directory.EnumerateFileSystemEntries(_folder.Path).ShouldBe([_folder["users"]]);
    }

    [Fact]
    public async Task A_password_is_changed_and_nothing_else()
    {
        _folder.Write("users", $"# who is who\nalice:{Hash}\nbob:{Hash}\n");

        (await _folder.RunAsync("user passwd alice --file users --password-stdin", "secret\n"))
            .ShouldBeDone("User 'alice' of 'users' has another password now.");

        PasswordOf("alice").ShouldBe("secret");
        _folder.Read("users").ShouldMatch($@"^# who is who\nalice:\S{{60}}\nbob:{Hash.Replace("$", @"\$", StringComparison.Ordinal)}\n$");
    }

    [Theory]
    [InlineData($"user list --{Setting}=users", null, null)]
    [InlineData($"--{Setting} users user list", null, null)]
    [InlineData("user list", "users", null)]
    [InlineData("user list", null, $$"""{ "{{Setting}}": "users" }""")]
    [InlineData("user list --file users", "none", $$"""{ "{{Setting}}": "none" }""")]
    public async Task The_file_is_that_of_the_settings_or_the_one_that_is_named(
        string arguments, string? environment, string? appsettings)
    {
        _folder.Write("users", $"alice:{Hash}\n");
        if (appsettings is not null)
        {
            _folder.Write("appsettings.json", appsettings);
        }

        (string, string)[] variables = environment is null ? [] : [("OciRegistry__Auth__Htpasswd", environment)];
        (await _folder.RunAsync(arguments, environment: variables)).ShouldBeDone("alice");
    }

    [Fact]
    public Task Without_a_file_it_is_said_how_to_name_one() => CommandFolder.ShouldRefuseAsync(
        "user list", 2, "Say which file: set OciRegistry:Auth:Htpasswd, which is the server's, or give --file PATH.");

    [Theory]
    [InlineData("user add alice", 1, "There is a user 'alice' already. 'user passwd alice' changes the password.")]
    [InlineData("user passwd bob", 1, "There is no user 'bob' in ")]
    [InlineData("user remove bob", 1, "There is no user 'bob' in ")]
    [InlineData("user add a:b", 2, "A user's name is 1 to 128 printable ASCII characters, ")]
    [InlineData("user add robot+ci", 2, "'robot+' is what the names of robots begin with.")]
    public async Task What_cannot_be_done_is_said_before_a_password_is_asked_for_and_changes_nothing(
        string command, int code, string problem)
    {
        var content = $"alice:{Hash}\n";
        _folder.Write("users", content);

        await CommandFolder.ShouldRefuseAsync($"{command} --file {_folder["users"]}", code, problem);

        _folder.Read("users").ShouldBe(content);
    }

    [Theory]
    [InlineData("user add alice --file users", 2, "There is no terminal on which to ask for the password. Write it to standard input, and add --password-stdin.")]
    [InlineData("user add alice --file users --password-stdin", 1, "The password has more than 72 bytes.")]
    [InlineData("user add alice hunter2 --file users", 2, "'user add' was given more than it takes.")]
    [InlineData("user add alice --file users --password-stdin=hunter2", 2, "'OciRegistry.Server user add --help' says what it takes.")]
    public async Task A_password_that_cannot_be_is_said_and_not_repeated(string command, int code, string problem)
    {
        var outcome = await _folder.RunAsync(command, string.Concat(Enumerable.Repeat("hunter2-", 10)));

        outcome.ShouldBeRefused(code, problem);
        outcome.Errors.ShouldNotContain("hunter2");
        File.Exists(_folder["users"]).ShouldBeFalse();
    }

    [Theory]
    [InlineData("user add bob")]
    [InlineData("user passwd alice")]
    [InlineData("user remove alice")]
    [InlineData("user list")]
    public async Task A_file_that_a_registry_would_refuse_is_refused_with_the_same_sentences(string command)
    {
        var content = $"alice:{Hash}\nplain:hunter2\nalice:{Hash}\n";
        _folder.Write("users", content);
        var sentences = Should.Throw<UnusableFileException>(
            () => Htpasswd.Parse(_folder["users"], Encoding.UTF8.GetBytes(content))).Problems;

        await CommandFolder.ShouldRefuseAsync(
            $"{command} --{Setting}={_folder["users"]}", 1, string.Join(Environment.NewLine, sentences));

        _folder.Read("users").ShouldBe(content);
    }

    [Theory]
    [InlineData("user list")]
    [InlineData("user passwd alice")]
    [InlineData("user remove alice")]
    public Task A_file_that_is_missing_is_said_by_all_who_do_not_make_it(string command) =>
        CommandFolder.ShouldRefuseAsync($"{command} --file {_folder["users"]}", 1, $"'{_folder["users"]}': It cannot be read: ");

    [Fact]
    public Task Settings_that_a_server_would_not_start_with_are_told_at_once() => CommandFolder.ShouldRefuseAsync(
        $"user list --{Setting}=users --OciRegistry:ReadOnly=perhaps --OciRegistry:Listings:MaxPageSize=0",
        1,
        $"OciRegistry:ReadOnly (command line) is 'perhaps'. Set it to true or false.{Environment.NewLine}"
        + "OciRegistry:Listings:MaxPageSize is 0. Set it to ");

    [Fact]
    public async Task A_broken_settings_file_is_named()
    {
        _folder.Write("appsettings.json", "{ oops");

        var outcome = await _folder.RunAsync("user list");

        outcome.ShouldBeRefused(1, $"'{_folder["appsettings.json"]}'");
        outcome.Errors.ShouldNotContain("The registry cannot start"); // nobody has started it
    }

    [Fact]
    public async Task Of_users_that_are_added_at_once_none_is_lost()
    {
        string[] names = ["a", "b", "c", "d"];

        var outcomes = await Task.WhenAll(names.Select(
            name => _folder.RunAsync($"user add {name} --file users --password-stdin", "secret\n")));

        outcomes.ShouldAllBe(outcome => outcome.Code == 0);
        Htpasswd.Parse("users", File.ReadAllBytes(_folder["users"])).Names.ShouldBe(names);
    }

    [Fact]
    public async Task Of_those_who_add_the_same_user_at_once_one_does()
    {
        var outcomes = await Task.WhenAll(Enumerable.Range(0, 4).Select(
            _ => _folder.RunAsync("user add alice --file users --password-stdin", "secret\n")));

        outcomes.Count(outcome => outcome.Code == 0).ShouldBe(1);
        outcomes.Count(outcome => outcome.Errors.StartsWith("There is a user 'alice' already.", StringComparison.Ordinal)).ShouldBe(3);
    }

    [Fact]
    public async Task A_password_is_asked_for_twice_on_a_terminal_that_does_not_show_it()
    {
        var (code, screen) = await TypeAsync("secret\r", "secret\r");
        code.ShouldBe(0);
        screen.ShouldEndWith("Password: \r\nThe same again: \r\nAdded user 'alice' to 'users'.\r\n");
        PasswordOf("alice").ShouldBe("secret");
        File.Delete(_folder["users"]);

        (code, screen) = await TypeAsync("secret\r", "secrets\r");
        code.ShouldBe(1);
        screen.ShouldEndWith("The two passwords are not the same. Try again.\r\n");
        File.Exists(_folder["users"]).ShouldBeFalse();

        (code, screen) = await TypeAsync("secrex\x7ft\r", "secret\r");
        code.ShouldBe(0);
        PasswordOf("alice").ShouldBe("secret");
    }

    // Adds alice, with a terminal at which somebody types each answer when there is a question.
    private async Task<(int Code, string Screen)> TypeAsync(params string[] answers)
    {
        Assert.SkipUnless(File.Exists("/usr/bin/script"), "There is no 'script' to make a terminal: it is in util-linux.");
        var command = $"dotnet exec '{typeof(StartupCheck).Assembly.Location}' user add alice --file users";
        using var process = Process.Start(new ProcessStartInfo("script", ["-qefc", command, "/dev/null"])
        {
            WorkingDirectory = _folder.Path,
            RedirectStandardInput = true,
            RedirectStandardOutput = true,
        })!;
        var screen = new StringBuilder();
        var answered = 0;
        while (process.StandardOutput.Read() is >= 0 and var character)
        {
            if (screen.Append((char)character) is [.., ':', ' '] && answered < answers.Length)
            {
                await process.StandardInput.WriteAsync(answers[answered++]);
                await process.StandardInput.FlushAsync();
            }
        }

        await process.WaitForExitAsync();
        return (process.ExitCode, screen.ToString());
    }

    // Which of the passwords of these tests it is.
    private string? PasswordOf(string name)
    {
        var hash = Htpasswd.Parse("users", File.ReadAllBytes(_folder["users"])).Find(name).ShouldNotBeNull().Hash;
        string[] passwords = ["secret", "other"];
        return passwords.FirstOrDefault(password => BCrypt.Net.BCrypt.Verify(password, hash));
    }
}
