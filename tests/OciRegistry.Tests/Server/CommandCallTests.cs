using System.CommandLine;
using OciRegistry.Server;
using OciRegistry.Server.Commands;

namespace OciRegistry.Tests.Server;

/// <summary>Commands on the command line, and the settings beside them.</summary>
public sealed class CommandCallTests
{
    [Theory]
    [InlineData("", "OciRegistry.Server")]
    [InlineData("serve", "serve")]
    [InlineData("--urls=http://*:80 serve", "serve")]
    [InlineData("serve --urls http://*:80", "serve")]
    public void It_serves_when_it_is_told_to_and_when_nothing_else_is_said(string line, string command)
    {
        var parsed = Parse(line);

        parsed.IsToServe.ShouldBeTrue();
        parsed.Call.CommandResult.Command.Name.ShouldBe(command);
        parsed.Problems.ShouldBeEmpty();
        parsed.Answer.ShouldBeNull();
    }

    [Theory]
    [InlineData("user remove alice --OciRegistry:Auth:Htpasswd=users")]
    [InlineData("user remove alice --OciRegistry:Auth:Htpasswd users")]
    [InlineData("user remove --OciRegistry:Auth:Htpasswd users alice")]
    [InlineData("user --OciRegistry:Auth:Htpasswd=users remove alice")]
    [InlineData("--OciRegistry:Auth:Htpasswd users user remove alice")]
    public void Settings_stand_anywhere(string line)
    {
        var parsed = Parse(line);

        parsed.Problems.ShouldBeEmpty();
        parsed.IsToServe.ShouldBeFalse();
        parsed.Call.CommandResult.Command.Name.ShouldBe("remove");
        parsed.Call.GetValue<string>("NAME").ShouldBe("alice");
        parsed.Settings.ShouldBe(["--OciRegistry:Auth:Htpasswd=users"]);
    }

    [Theory]
    [InlineData("--OciRegistry:Auth:Tokens:Service token")]
    [InlineData("--environment serve")]
    public void The_value_of_a_setting_is_no_command(string line)
    {
        var parsed = Parse(line);

        parsed.Call.CommandResult.Parent.ShouldBeNull();
        parsed.Problems.ShouldBeEmpty();
    }

    [Fact]
    public void Patterns_and_actions_are_taken_one_after_the_other_and_each_by_itself()
    {
        var parsed = Parse("robot create ci --repository a/** b --action=pull --OciRegistry:ReadOnly=true --action push");

        parsed.Problems.ShouldBeEmpty();
        parsed.Call.GetValue<string[]>("--repository").ShouldBe(["a/**", "b"]);
        parsed.Call.GetValue<string[]>("--action").ShouldBe(["pull", "push"]);
    }

    [Fact]
    public void A_name_that_begins_with_an_at_sign_is_no_file_of_arguments() =>
        Parse("user remove @alice").Call.GetValue<string>("NAME").ShouldBe("@alice");

    [Theory]
    [InlineData("user", "'user' is followed by one of add, passwd, list, remove.")]
    [InlineData("user lsit", "'user' is followed by one of add, passwd, list, remove.")]
    [InlineData("user add", "Required argument 'NAME' missing for command: 'add'.")]
    [InlineData("user add alice secret", "'user add' was given more than it takes.")]
    [InlineData("user list secret secret", "'user list' was given more than it takes.")]
    [InlineData("secret user list", "'user list' was given more than it takes.")]
    [InlineData("user add alice --password-stdin=secret", "'user add' was given more than it takes.")]
    [InlineData("user add --lifetime=secret", "--lifetime is no option of 'user add'.")]
    [InlineData("user add alice --lifetime=secret", "--lifetime is no option of 'user add'.")]
    [InlineData("user add alice --file --password-stdin", "--file has no value. Write --file VALUE.")]
    [InlineData("user list --file a --file b", "Option '--file' expects a single argument but 2 were provided.")]
    [InlineData("token alice --scope", "Required argument missing for option: '--scope'.")]
    public void A_command_that_is_called_wrongly_is_answered_with_what_it_takes(string line, string problem)
    {
        var problems = Parse(line).Problems;

        problems.Count.ShouldBe(2);
        problems[0].ShouldBe(problem);
        problems[1].ShouldMatch(@"^'OciRegistry\.Server [a-z ]+ --help' says what it takes\.$");
        string.Join(' ', problems).ShouldNotContain("secret");
    }

    [Theory]
    [InlineData("serve hunter2", "Argument 2 on the command line is no option. Write settings as --NAME=VALUE.")]
    [InlineData("--urls=http://*:80 serve serve", "Argument 3 on the command line is no option. Write settings as --NAME=VALUE.")]
    [InlineData("hunter2", "Argument 1 on the command line is no option. Write settings as --NAME=VALUE.")]
    [InlineData("--file=hunter2", "--file is no option.")]
    [InlineData("user list --port=80", "--port is no option. Use --urls=http://127.0.0.1:PORT.")]
    public void What_is_neither_a_setting_nor_a_command_s_is_answered_with_what_to_write(string line, string problem) =>
        Parse(line).Problems.ShouldBe([problem]);

    [Theory]
    [InlineData("user --help", "add <NAME>")]
    [InlineData("user add -h", "--password-stdin")]
    [InlineData("robot create ci -?", "--expires <TIME>")]
    [InlineData("--OciRegistry:ReadOnly=true token --help", "--lifetime <TIME>")]
    public void Each_command_has_a_help_of_its_own(string line, string text) =>
        Parse(line).Answer.ShouldNotBeNull().ShouldContain(text);

    [Theory]
    [InlineData("--help")]
    [InlineData("serve --help")]
    public void The_help_lists_the_commands_and_the_settings(string line)
    {
        var help = Parse(line).Answer.ShouldNotBeNull();

        Leaves(ServerCommands.All).ShouldAllBe(command => help.Contains(command.Description!, StringComparison.Ordinal));
        help.ShouldContain("  user add NAME ");
        help.ShouldContain("OciRegistry:Uploads:IdleExpiry");
        help.Split('\n').ShouldAllBe(text => text.Length <= 120);
    }

    private static IEnumerable<Command> Leaves(Command command) =>
        command.Subcommands.Count == 0 ? [command] : command.Subcommands.SelectMany(Leaves);

    private static CommandLine Parse(string line) =>
        CommandLine.Parse(line.Split(' ', StringSplitOptions.RemoveEmptyEntries), ServerCommands.All);
}
